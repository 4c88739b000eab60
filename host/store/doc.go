// Package store keeps the folders that stages make, by key: immutable, whole or absent, made once however many hosts want them.
//
// Layout under the store's folder:
//
//	layout          one line that names the version of this layout; a newer one is refused
//	ab/abcdef.../   an entry: its files, read-only, and SHA256SUMS; the folder is named by the whole key, its parent by the first two digits
//	work/KEY/       an entry in the making and the scratch folder for checkpoints, owned by who holds the key's lock
//	locks/KEY       the lock of a key (flock), with the process that holds it; gone when it is given back
//	hosts/NAME      what a running host reads: a line for each key, locked (flock) as long as the host lives
//	uses/KEY        its time is when the entry was last used, its lines are the folders that it was linked into
//	damaged/KEY-N   entries whose bytes are not what their checksums say, moved aside
//	last/           what the pipeline remembers of the last run of each stage
//
// # Entries
//
// An entry comes into being by a rename, after its files, then its folders, have been brought to the disk; after it the folders that the rename changed are.
// So a power loss leaves a whole entry or none, as far as the disk keeps what it said it had; what it tore nevertheless is found by its checksums
// when a process first asks for it, moved aside and made again. Checksums guard against accidents, not against somebody who changes both.
//
// A host that dies leaves its folder in work. The half entry there is removed by whoever opens the store next, or makes the entry; the scratch folder stays, since a
// training goes on from it, until the entry is there or [Store.GC] finds it too old.
//
// # What refers to an entry
//
// A run's folder holds hard links to the files of an entry, or copies where there can be no links, and so loses nothing when the entry goes: it only has to be made again
// when a run next needs it. An entry counts as referenced where a file of it has a further link, wherever that is, or where a folder that it was linked
// into ([Store.Link] remembers them in uses) is still there with the same list of checksums. A folder of copies that was moved is not found again; one of links is.
// A file with further links takes no space of its own, so removing it frees none.
//
// What a running host has looked up or made is in use until it ends or closes the store, and never removed.
//
// # Network file systems
//
// Everything above holds on a local file system. Between machines that share a store it holds as far as the file system does its part; [Probe] tries what can be tried
// from one machine.
//
//   - Locks: flock must exclude between machines. NFSv4 does so, and NFSv3 with lockd (not mounted nolock or local_lock=flock|all); Lustre needs the mount
//     option flock; SMB needs no nobrl. Where locks are refused the store is: there is no fallback. Where they are silently local to a machine, hosts on different machines may do the
//     same work twice, the last rename fails, and gc on one machine does not see what is in use on another; no entry is torn by that.
//   - A holder that dies gives its locks back at once; a machine that dies or loses its network keeps them until the server lets its lease go (on NFSv4 about 90 s).
//   - Renames are atomic on the server. A client may see the old folder for as long as it caches names (on NFS up to acdirmax, 60 s): a host may then make again what is
//     there already, which it finds out once it holds the lock, since opening a lock file asks the server.
//   - Hard links are made where the file system has them (not most SMB mounts nor some FUSE ones); copies take their place otherwise.
//   - Ages compare the clock of the machine that looks with that of the server or the machine that wrote. Clocks that differ by minutes matter to nobody but gc with limits of that size.
package store
