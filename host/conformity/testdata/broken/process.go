package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/metadata"

	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// onScore does something whenever the open-loop task scores.
func onScore(f func()) fault { return scores(func(*task.Score) { f() }) }

func processFaults() map[string]fault {
	return map[string]fault{
		"chatty": onScore(func() { fmt.Println("scoring...") }),
		"writes": onScore(func() {
			home, err := os.UserHomeDir()
			if err == nil {
				err = os.WriteFile(filepath.Join(home, ".broken"), []byte("x"), 0o600)
			}
			if err != nil {
				panic(err)
			}
		}),
		"writes-here": onScore(func() {
			if err := os.WriteFile("scores.txt", []byte("x"), 0o600); err != nil {
				panic(err)
			}
		}),
		"writes-beside": onScore(func() {
			own, err := os.Executable()
			if err == nil {
				err = os.WriteFile(filepath.Join(filepath.Dir(own), "scores.cache"), []byte("x"), 0o600)
			}
			if err != nil {
				panic(err)
			}
		}),
		"child": func(*serve.Plugin) {
			// A session of its own is out of reach of the group's end.
			cmd := exec.Command("sleep", "600")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if os.Getenv(client.TokenEnv) != "" {
				if err := cmd.Start(); err != nil {
					panic(err)
				}
			}
		},
		"stays":    func(*serve.Plugin) {},
		"outlives": func(*serve.Plugin) { _ = os.Unsetenv(client.LifelineEnv) },
		"silent": func(*serve.Plugin) {
			if os.Getenv(client.TokenEnv) == "" {
				os.Exit(0)
			}
		},
		"nameless": func(p *serve.Plugin) { p.Tasks[0].Info.Doc, p.Version = "", "1" },
	}
}

func protocolFaults() map[string]intercept {
	return map[string]intercept{
		"lenient": func(ctx context.Context, method string, _ any, next func(context.Context) (any, error)) (any, error) {
			out, err := next(ctx)
			if m, ok := out.(*pluginv1.ValidateResponse); ok && err == nil {
				m.Problems = nil
			}
			return out, err
		},
		"pathless": func(ctx context.Context, method string, _ any, next func(context.Context) (any, error)) (any, error) {
			out, err := next(ctx)
			if m, ok := out.(*pluginv1.ValidateResponse); ok && err == nil {
				for _, q := range m.GetProblems() {
					q.Path = strings.TrimPrefix(q.GetPath(), "params.")
				}
			}
			return out, err
		},
		"first-only": func(ctx context.Context, method string, _ any, next func(context.Context) (any, error)) (any, error) {
			out, err := next(ctx)
			if m, ok := out.(*pluginv1.ValidateResponse); ok && err == nil && len(m.GetProblems()) > 1 {
				m.Problems = m.GetProblems()[:1]
			}
			return out, err
		},
		"trusting": func(ctx context.Context, method string, _ any, next func(context.Context) (any, error)) (any, error) {
			md, _ := metadata.FromIncomingContext(ctx)
			md = md.Copy()
			md.Set("ctdb-token", token)
			return next(metadata.NewIncomingContext(ctx, md))
		},
		"undrained": func(ctx context.Context, method string, _ any, next func(context.Context) (any, error)) (any, error) {
			if strings.HasSuffix(method, "/Drain") {
				return &pluginv1.DrainResponse{}, nil
			}
			return next(ctx)
		},
		"slow-health": func(ctx context.Context, method string, _ any, next func(context.Context) (any, error)) (any, error) {
			if strings.HasSuffix(method, "/Health") && training.Load() > 0 {
				time.Sleep(8 * time.Second)
			}
			return next(ctx)
		},
		"fickle": func(ctx context.Context, method string, _ any, next func(context.Context) (any, error)) (any, error) {
			out, err := next(ctx)
			if m, ok := out.(*pluginv1.DescribeResponse); ok {
				m.Doc = fmt.Sprint(time.Now().UnixNano())
			}
			return out, err
		},
	}
}
