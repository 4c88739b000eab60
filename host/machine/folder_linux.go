package machine

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// statfs reads what Linux says of a file system.
func statfs(dir string) (FileSystem, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return FileSystem{}, fmt.Errorf("machine: %s: %w", dir, err)
	}
	return FileSystem{
		Type: typeName(int64(s.Type)), Network: network(int64(s.Type)),
		Size: int64(s.Blocks) * s.Bsize, Free: int64(s.Bavail) * s.Bsize, Files: int64(s.Ffree), NoFiles: s.Files == 0,
		NoExec: s.Flags&unix.ST_NOEXEC != 0, ReadOnly: s.Flags&unix.ST_RDONLY != 0,
	}, nil
}

// The numbers are those of statfs(2).
func typeName(magic int64) string {
	switch magic & 0xffffffff {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case 0x2fc12fc1:
		return "zfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay"
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	case unix.SMB_SUPER_MAGIC:
		return "smb"
	case 0xff534d42:
		return "cifs"
	case 0xfe534d42:
		return "smb2"
	case unix.V9FS_MAGIC:
		return "9p"
	case 0x0bd00bd0:
		return "lustre"
	case 0x47504653:
		return "gpfs"
	case 0x00c36400:
		return "ceph"
	case 0x19830326:
		return "beegfs"
	case unix.FUSE_SUPER_MAGIC:
		return "fuse"
	case unix.AFS_SUPER_MAGIC:
		return "afs"
	}
	return fmt.Sprintf("type %#x", magic&0xffffffff)
}

// network reports whether other machines may write to it as well. FUSE may be either, and counts as one.
func network(magic int64) bool {
	switch typeName(magic) {
	case "nfs", "smb", "cifs", "smb2", "9p", "lustre", "gpfs", "ceph", "beegfs", "fuse", "afs":
		return true
	}
	return false
}
