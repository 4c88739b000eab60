"""What the manifest says of a plugin's own code and of what it runs on."""

import os
import subprocess
import sys
import tempfile
import unittest

SCRIPT = """\
import mine.one.step, mine.two.step, alone, spread.near
from ctdb_sdk import _identity
for name, value in sorted(_identity.numerics().items()):
    print(name, value)
"""


class Identity(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.write("at/ctdb-plugin-mine", SCRIPT)
        for name, text in {"__init__": "", "one/__init__": "", "two/__init__": "", "one/step": "x = 1", "two/step": "x = 2"}.items():
            self.write(f"at/mine/{name}.py", text)
        self.distribution("alone", "1.0", "alone.py")
        self.distribution("idle", "1.0", "idle/__init__.py")
        self.distribution("Spread_Near", "1.0", "spread/near/__init__.py")
        self.distribution("spread.far", "1.0", "spread/far/__init__.py")
        self.distribution("grpcio", "9", "alone.py")

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)

    def distribution(self, name, version, file):
        if not os.path.exists(os.path.join(self.folder, "site", file)):
            self.write(f"site/{file}", "")
        self.write(f"site/{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        self.write(f"site/{name}-{version}.dist-info/RECORD", f"{file},sha256=x,0\n{name}-{version}.dist-info/RECORD,,\n../../bin/{name},,\n")

    def numerics(self, at="at"):
        path = os.pathsep.join([os.path.join(self.folder, "site"), *sys.path])
        run = subprocess.run(
            [sys.executable, os.path.join(self.folder, at, "ctdb-plugin-mine")], env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True, text=True, check=True,
        )
        return dict(line.split(" ", 1) for line in run.stdout.splitlines())

    def test_what_is_loaded_is_named(self):
        got = self.numerics()
        self.assertEqual({k: v for k, v in got.items() if k in ("alone", "idle", "spread-near", "spread-far", "grpcio")}, {"alone": "1.0", "spread-near": "1.0"})
        self.assertIn("numpy", got)
        self.assertEqual(got["python"], ".".join(map(str, sys.version_info[:3])))
        os.rename(os.path.join(self.folder, "site", "alone-1.0.dist-info"), os.path.join(self.folder, "site", "x"))
        self.distribution("alone", "2.0", "alone.py")
        now = self.numerics()
        self.assertEqual(now["alone"], "2.0")
        self.assertNotEqual(now["environment"], got["environment"])
        self.assertEqual(now["source"], got["source"])

    def test_source_knows_files_of_one_name_apart(self):
        before = self.numerics()["source"]
        self.write("at/mine/one/step.py", "x = 2")
        self.write("at/mine/two/step.py", "x = 1")
        self.assertNotEqual(self.numerics()["source"], before)
        self.write("at/mine/one/step.py", "x = 1")
        self.write("at/mine/two/step.py", "x = 2")
        os.rename(os.path.join(self.folder, "at"), os.path.join(self.folder, "elsewhere"))
        self.assertEqual(self.numerics("elsewhere")["source"], before)


if __name__ == "__main__":
    unittest.main()
