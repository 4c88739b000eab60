package registry

import (
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// executable reports whether somebody may run the file. Windows has no such bit.
func executable(info fs.FileInfo) bool {
	return runtime.GOOS == "windows" || info.Mode().Perm()&0o111 != 0
}

// foreign reads the head of an executable and returns why it cannot run here; empty where it can, or where nothing can be said.
func foreign(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "cannot be read: " + reason(err)
	}
	defer f.Close()
	head := make([]byte, 4)
	n, err := io.ReadFull(f, head)
	switch {
	case err != nil && n == 0:
		return "is empty"
	case n >= 2 && string(head[:2]) == "#!":
		return ""
	case n >= 4 && string(head) == elf.ELFMAG:
		e, err := elf.NewFile(f)
		if err != nil {
			return "is a damaged executable: " + err.Error()
		}
		return unlike("linux", elfArch(e.Machine))
	case n >= 2 && string(head[:2]) == "MZ":
		e, err := pe.NewFile(f)
		if err != nil {
			return "is a damaged executable: " + err.Error()
		}
		return unlike("windows", peArch(e.Machine))
	case n >= 4 && (string(head) == "\xcf\xfa\xed\xfe" || string(head) == "\xce\xfa\xed\xfe"):
		e, err := macho.NewFile(f)
		if err != nil {
			return "is a damaged executable: " + err.Error()
		}
		return unlike("darwin", machoArch(e.Cpu))
	}
	return "is neither a program nor a script that starts with #!"
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
