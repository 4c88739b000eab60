package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// roleEnv makes the test binary behave as a host: ROLE, a blank, what the role is given, blank by blank. The first is the store's folder.
const roleEnv = "CTDB_STORE_TEST_ROLE"

func TestMain(m *testing.M) {
	role, args, ok := strings.Cut(os.Getenv(roleEnv), " ")
	if !ok {
		os.Exit(m.Run())
	}
	roles := map[string]func(args []string) error{"make": roleMake, "begin": roleBegin, "use": roleUse, "churn": roleChurn, "full": roleFull, "open": roleOpen}
	if err := roles[role](strings.Fields(args)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// host is the test binary in a role.
type host struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startHost(ctx context.Context, t *testing.T, role string, args ...any) host {
	t.Helper()
	h := host{Cmd: exec.CommandContext(ctx, os.Args[0])}
	h.Env = append(os.Environ(), roleEnv+"="+role+" "+strings.TrimSpace(fmt.Sprintln(args...)))
	h.Stderr = os.Stderr
	out, err := h.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if h.in, err = h.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	h.out = bufio.NewReader(out)
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = h.Process.Kill() // it may have ended
		_ = h.Wait()
	})
	return h
}

// says waits for a line.
func (h host) says(t *testing.T, want string) {
	t.Helper()
	if line, err := h.out.ReadString('\n'); strings.TrimSpace(line) != want {
		t.Fatalf("the host says %q (%v), want %q", line, err, want)
	}
}

// all is what a host says until it ends, and how it ends.
func (h host) all() (string, error) {
	b, readErr := io.ReadAll(h.out)
	return strings.TrimSpace(string(b)), errors.Join(h.Wait(), readErr)
}

// roleMake makes 20 entries, as long as they are not there, and prints which it made.
func roleMake(args []string) error {
	s, err := Open(args[0])
	if err != nil {
		return err
	}
	for i := range 20 {
		w, found, err := s.Begin(context.Background(), key(fmt.Sprint(i)))
		if err != nil {
			return err
		}
		if found != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(w.Dir(), "data"), []byte(strings.Repeat(fmt.Sprint(i), 100_000)), 0o644); err != nil {
			return err
		}
		if _, err := w.Commit(); err != nil {
			return err
		}
		fmt.Println(i)
	}
	return s.Close()
}

// roleBegin begins to make "a", leaves half of it and a checkpoint, and completes it when its input ends.
func roleBegin(args []string) error {
	s, err := Open(args[0])
	if err != nil {
		return err
	}
	w, found, err := s.Begin(context.Background(), key("a"))
	if err != nil || found != nil {
		return fmt.Errorf("found %v, error %w", found, err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(w.Dir(), "data"), []byte("half"), 0o644), os.WriteFile(filepath.Join(w.Scratch(), "checkpoint"), []byte("step 5"), 0o644)); err != nil {
		return err
	}
	fmt.Println("began")
	if _, err := io.ReadAll(os.Stdin); err != nil {
		return err
	}
	_, err = w.Commit()
	return errors.Join(err, s.Close())
}

// roleUse looks "a" up and uses it until its input ends.
func roleUse(args []string) error {
	s, err := Open(args[0])
	if err != nil {
		return err
	}
	if _, ok, err := s.Lookup(context.Background(), key("a")); !ok || err != nil {
		return fmt.Errorf("lookup: %v, %w", ok, err)
	}
	fmt.Println("uses")
	if _, err := io.ReadAll(os.Stdin); err != nil {
		return err
	}
	return s.Close()
}

// roleChurn makes, gives up and removes entries until it is killed.
func roleChurn(args []string) error {
	seed, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	s, err := Open(args[0])
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(seed, 1))
	fmt.Println("runs")
	for {
		k := churnKey(r.IntN(6))
		w, found, err := s.Begin(context.Background(), k)
		if err != nil {
			return err
		}
		if found != nil {
			// One that is in use stays, so that it is taken for a new host's.
			if err := s.Close(); err != nil {
				return err
			}
			if _, err := s.GC(context.Background(), Rules{Select: func(i Info) bool { return i.Key == k }}); err != nil {
				return err
			}
			continue
		}
		for n := range 3 {
			dir := filepath.Join(w.Dir(), fmt.Sprint(n))
			if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "data"), []byte(strings.Repeat(k, 100+r.IntN(2000))), 0o644)); err != nil {
				return err
			}
		}
		if r.IntN(4) == 0 {
			err = w.Abort()
		} else if _, err = w.Commit(); err == nil {
			fmt.Println("made")
		}
		if err != nil {
			return err
		}
	}
}

func churnKey(n int) string { return key(fmt.Sprintf("churn %d", n)) }

// roleFull makes an entry whose list of checksums is longer than a file may be, in a process that may write files of so many bytes only (0: no limit).
func roleFull(args []string) error {
	limit, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	s, err := Open(args[0])
	if err != nil {
		return err
	}
	w, found, err := s.Begin(context.Background(), key("a"))
	if err != nil || found != nil {
		return fmt.Errorf("found %v, error %w", found, err)
	}
	for n := range 20 {
		if err := os.WriteFile(filepath.Join(w.Dir(), fmt.Sprint(n)), []byte("data"), 0o644); err != nil {
			return errors.Join(err, w.Abort())
		}
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		return err
	}
	if _, err := w.Commit(); err != nil {
		return errors.Join(err, w.Abort(), s.Close())
	}
	return s.Close()
}

// roleOpen opens a store, as nobody where it is root.
func roleOpen(args []string) error {
	if os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
			return err
		}
	}
	_, err := Open(args[0])
	return err
}

func TestDoneOnceByProcesses(t *testing.T) {
	s := newStore(t)
	hosts := make([]host, 3)
	for i := range hosts {
		hosts[i] = startHost(t.Context(), t, "make", s.Dir())
	}
	var lines []string
	for i, h := range hosts {
		made, err := h.all()
		if err != nil {
			t.Errorf("host %d: %v: %s", i, err, made)
		}
		lines = append(lines, strings.Fields(made)...)
	}
	slices.Sort(lines)
	if len(lines) != 20 || len(slices.Compact(lines)) != 20 {
		t.Errorf("%d entries were made, 20 are needed: %v", len(lines), lines)
	}
	if keys, err := s.Keys(); err != nil || len(keys) != 20 {
		t.Errorf("%d entries (%v)", len(keys), err)
	}
	if left := files(t, filepath.Join(s.Dir(), locksDir)); !slices.Equal(left, []string{gcLock}) {
		t.Errorf("locks are left: %v", left)
	}
	if left := files(t, filepath.Join(s.Dir(), hostsDir)); len(left) > 0 {
		t.Errorf("leases are left: %v", left)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	have, err := names(dir)
	if err != nil {
		t.Fatal(err)
	}
	return have
}

// One host waits for another, says for whom, and takes over when that one is killed: its half entry is gone, its checkpoint is there.
func TestWaitsForAHostThatIsKilled(t *testing.T) {
	s, k := newStore(t), key("a")
	h := startHost(t.Context(), t, "begin", s.Dir())
	h.says(t, "began")
	var told []Holder
	w, found, err := s.Begin(t.Context(), k, Waiting(func(by Holder) {
		told = append(told, by)
		if err := h.Process.Kill(); err != nil {
			t.Error(err)
		}
	}))
	if err != nil || found != nil {
		t.Fatalf("found %v, error %v", found, err)
	}
	defer w.Abort()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0].PID != h.Process.Pid || told[0].Host != name || time.Since(told[0].Since) > time.Hour {
		t.Errorf("waited for %v, want process %d on %s", told, h.Process.Pid, name)
	}
	if b, err := os.ReadFile(filepath.Join(w.Scratch(), "checkpoint")); err != nil || string(b) != "step 5" || len(files(t, w.Dir())) > 0 {
		t.Errorf("checkpoint %q (%v), and %v of the half entry", b, err, files(t, w.Dir()))
	}
	if by := s.holder(k); by.PID != os.Getpid() {
		t.Errorf("the lock says that %v holds it", by)
	}
}

// A host that waits gets what the other has made.
func TestWaitsForAHostThatCompletes(t *testing.T) {
	s, k := newStore(t), key("a")
	h := startHost(t.Context(), t, "begin", s.Dir())
	h.says(t, "began")
	w, found, err := s.Begin(t.Context(), k, Waiting(func(Holder) { h.in.Close() }))
	if err != nil || w != nil || found == nil {
		t.Fatalf("work %v, found %v, error %v", w, found, err)
	}
	if b, err := os.ReadFile(found.Path("data")); err != nil || string(b) != "half" {
		t.Errorf("%q (%v)", b, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	other := begin(t, s, key("b"))
	if _, _, err := s.Begin(ctx, key("b")); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a wait that ends does not say whom it was for: %v", err)
	}
	if err := other.Abort(); err != nil {
		t.Error(err)
	}
}

// Hosts are killed at random moments of making, giving up and removing entries, two at a time: every entry that is there is whole, the next host can go on, and gc leaves
// nothing behind.
func TestKilledAtAnyMoment(t *testing.T) {
	rounds := 15
	if os.Getenv("CTDB_ENDURANCE") != "" {
		rounds = 300
	}
	s := newStore(t)
	const seed = 20240611
	r := rand.New(rand.NewPCG(seed, 2))
	for round := range rounds {
		var hosts []host
		for range 2 {
			hosts = append(hosts, startHost(t.Context(), t, "churn", s.Dir(), r.Uint64()))
		}
		for _, h := range hosts {
			h.says(t, "runs")
		}
		// So many entries, and then some moment of the next one.
		for _, h := range hosts {
			for range r.IntN(4) {
				h.says(t, "made")
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.Int64N(int64(8*time.Millisecond))))
			<-ctx.Done()
			cancel()
			if err := h.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := h.Wait(); err == nil {
				t.Fatal("it ended of itself")
			}
		}
		next := fresh(t, s)
		keys, err := next.Keys()
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if err := next.Verify(t.Context(), k); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
	}
	last := fresh(t, s)
	removed, err := last.GC(t.Context(), Rules{Select: func(Info) bool { return true }, Scratch: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range removed {
		if gone.Kept != "" || gone.What == DamagedEntry {
			t.Errorf("%+v", gone)
		}
	}
	var left []string
	for _, name := range files(t, s.Dir()) {
		if name == layoutFile {
			continue
		}
		for _, inner := range files(t, filepath.Join(s.Dir(), name)) {
			left = append(left, name+"/"+inner)
		}
	}
	if !slices.Equal(left, []string{locksDir + "/" + gcLock}) {
		t.Errorf("left: %v", left)
	}
}
