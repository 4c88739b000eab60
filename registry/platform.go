package registry

import (
	"bufio"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// noProgram is the reason for what does not look like anything that can be started.
const noProgram = "is neither a program nor a script that starts with #!"

// executable reports whether somebody may run the file. Windows has no such bit.
func executable(info fs.FileInfo) bool {
	return runtime.GOOS == "windows" || info.Mode().Perm()&0o111 != 0
}

// foreign reads the head of an executable and returns why it cannot run here; empty where it can, or where nothing can be said.
func foreign(path string) string {
	of, why := platformOf(path)
	switch {
	case why != "":
		return why
	case of == AnyPlatform:
		return unaided(path)
	}
	system, arch, _ := strings.Cut(of, "/")
	return unlike(system, arch)
}

// platform is what an executable runs on, e.g. "linux/amd64"; "any" for a script.
func platform(path string) string {
	of, _ := platformOf(path)
	return of
}

// platformOf reads the head of an executable; the reason says why it is none.
func platformOf(path string) (of, reasonNot string) {
	f, err := os.Open(path)
	if err != nil {
		return "", "cannot be read: " + reason(err)
	}
	defer f.Close()
	head := make([]byte, 4)
	n, err := io.ReadFull(f, head)
	switch {
	case err != nil && n == 0:
		return "", "is empty"
	case n >= 2 && string(head[:2]) == "#!":
		return AnyPlatform, ""
	case n >= 4 && string(head) == elf.ELFMAG:
		e, err := elf.NewFile(f)
		if err != nil {
			return "", "is a damaged executable: " + err.Error()
		}
		return "linux/" + elfArch(e.Machine), ""
	case n >= 2 && string(head[:2]) == "MZ":
		e, err := pe.NewFile(f)
		if err != nil {
			return "", "is a damaged executable: " + err.Error()
		}
		return "windows/" + peArch(e.Machine), ""
	case n >= 4 && (string(head) == "\xcf\xfa\xed\xfe" || string(head) == "\xce\xfa\xed\xfe"):
		e, err := macho.NewFile(f)
		if err != nil {
			return "", "is a damaged executable: " + err.Error()
		}
		return "darwin/" + machoArch(e.Cpu), ""
	}
	return "", noProgram
}

// unaided says that what a script's first line names is not there; empty where it is.
func unaided(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "cannot be read: " + reason(err)
	}
	defer f.Close()
	line, _ := bufio.NewReader(io.LimitReader(f, 4096)).ReadString('\n')
	words := strings.Fields(strings.TrimPrefix(line, "#!"))
	if len(words) == 0 {
		return "is a script whose first line names no interpreter: a line such as #!/usr/bin/env python3 is needed"
	}
	if strings.HasSuffix(line, "\r\n") {
		return "is a script with the line ends of Windows: its interpreter is not found so; save it with line feeds alone"
	}
	if _, err := os.Stat(words[0]); err != nil {
		return interpreterMissing(words[0], "does not exist")
	}
	if filepath.Base(words[0]) != "env" {
		return ""
	}
	for _, w := range words[1:] {
		// Options of env, and variables that it sets.
		if strings.HasPrefix(w, "-") || strings.Contains(w, "=") {
			continue
		}
		if _, err := exec.LookPath(w); err != nil && !errors.Is(err, exec.ErrDot) {
			return interpreterMissing(w, "is not on the PATH")
		}
		return ""
	}
	return ""
}

func interpreterMissing(name, what string) string {
	do := "install it"
	if strings.HasPrefix(filepath.Base(name), "python") {
		do = "install Python, or activate the environment that the plugin was made for"
	}
	return fmt.Sprintf("needs %s, which its first line names and which %s: %s", strconv.QuoteToGraphic(name), what, do)
}

func unlike(system, arch string) string {
	// ELF is shared by Linux and the BSDs.
	ours := runtime.GOOS
	if ours != "windows" && ours != "darwin" {
		ours = "linux"
	}
	if system == ours && (arch == runtime.GOARCH || (arch == "386" && runtime.GOARCH == "amd64")) {
		return ""
	}
	return fmt.Sprintf("is built for %s/%s, this machine is %s/%s", system, arch, runtime.GOOS, runtime.GOARCH)
}

func elfArch(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_386:
		return "386"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_ARM:
		return "arm"
	case elf.EM_RISCV:
		return "riscv64"
	case elf.EM_PPC64:
		return "ppc64le"
	case elf.EM_S390:
		return "s390x"
	case elf.EM_LOONGARCH:
		return "loong64"
	}
	return m.String()
}

func peArch(m uint16) string {
	switch m {
	case pe.IMAGE_FILE_MACHINE_AMD64:
		return "amd64"
	case pe.IMAGE_FILE_MACHINE_I386:
		return "386"
	case pe.IMAGE_FILE_MACHINE_ARM64:
		return "arm64"
	}
	return fmt.Sprintf("machine %#x", m)
}

func machoArch(c macho.Cpu) string {
	switch c {
	case macho.CpuAmd64:
		return "amd64"
	case macho.Cpu386:
		return "386"
	case macho.CpuArm64:
		return "arm64"
	}
	return c.String()
}
