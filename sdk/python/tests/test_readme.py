"""What README.md tells a reader to do, done: its plugin is what it shows, its test passes. The program itself is tried with them by TestPython."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

README = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "README.md")


def blocks(language):
    with open(README) as f:
        return re.findall(rf"```{language}\n(.*?)```", f.read(), re.S)


class Readme(unittest.TestCase):
    def test_plugin_and_its_test(self):
        plugin, test = blocks("python")
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "plugins"))
            for name, text in (("plugins/ctdb-plugin-mine", plugin), ("test_mine.py", test)):
                with open(os.path.join(folder, name), "w") as f:
                    f.write(text)
            run = subprocess.run([sys.executable, "-m", "unittest", "test_mine"], cwd=folder, capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertIn("Ran 1 test", run.stderr)

    def test_links(self):
        with open(README) as f:
            for target in re.findall(r"\]\(([^)#]+)\)", f.read()):
                self.assertTrue(os.path.exists(os.path.join(os.path.dirname(README), target)), target)


if __name__ == "__main__":
    unittest.main()
