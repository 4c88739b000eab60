package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// line is a command line taken apart, complete or, for the shell's completion, not yet.
type line struct {
	app *cli.App
	// commands leads from the program's command to the innermost subcommand.
	commands []*cli.Command
	// values has what was given to each flag, by the flag's first name; a flag without a value has "".
	values map[string][]string
	// positional is what stands beside flags and commands.
	positional []string
	// pending is the last flag, which lacks its value; nil where none does.
	pending cli.Flag
	// unknown are flags, as written, that there are not; unknownFirst is true where one stands before what is no command.
	unknown      []string
	unknownFirst bool
	// args are the arguments as the flag package wants them: the program's flags before the command and a command's before its arguments, so that
	// `run nbff --jobs 2 --store DIR` works.
	args []string
}

// takeApart reads a command line, of which the first word is the program's name.
func takeApart(app *cli.App, args []string) line {
	l := line{app: app, values: map[string][]string{}}
	if len(args) == 0 {
		return l
	}
	var global, out []string
	rest := args[1:]
	flags, commands := app.Flags, app.Commands
	for {
		var front, back []string
		var sub *cli.Command
		for i := 0; i < len(rest); i++ {
			a := rest[i]
			if a == "--" {
				back = append(back, rest[i:]...)
				l.positional = append(l.positional, rest[i+1:]...)
				break
			}
			if len(a) > 1 && a[0] == '-' {
				own, ofApp := flagOf(flags, a), flagOf(app.Flags, a)
				f := cmp.Or(own, ofApp)
				moved := []string{a}
				_, value, _ := strings.Cut(a, "=")
				if f != nil && takesValue(f, a) {
					if i+1 < len(rest) {
						i++
						value = rest[i]
						moved = append(moved, value)
					} else {
						l.pending = f
					}
				}
				switch {
				case f != nil && l.pending == nil:
					name := f.Names()[0]
					l.values[name] = append(l.values[name], value)
				case isHelp(a):
					l.values["help"] = []string{""}
				case isVersion(a) && len(l.commands) == 0:
					l.values["version"] = []string{""}
				case f == nil:
					l.unknownFirst = l.unknownFirst || len(l.positional) == 0
					l.unknown = append(l.unknown, a)
				}
				if ofApp != nil && (own == nil || own == ofApp) {
					global = append(global, moved...)
				} else {
					front = append(front, moved...)
				}
				continue
			}
			if len(back) == 0 {
				sub = find(commands, a)
			}
			if sub != nil {
				out = append(append(out, front...), a)
				rest = rest[i+1:]
				break
			}
			back = append(back, a)
			l.positional = append(l.positional, a)
		}
		if sub == nil {
			out = append(append(out, front...), back...)
			l.args = append(append([]string{args[0]}, global...), out...)
			return l
		}
		l.commands = append(l.commands, sub)
		flags, commands = sub.Flags, sub.Subcommands
	}
}

// command is the innermost command; nil where there is none.
func (l line) command() *cli.Command {
	if len(l.commands) == 0 {
		return nil
	}
	return l.commands[len(l.commands)-1]
}

// name is what the innermost command is called from its parents on, e.g. "plugin list"; empty where there is none.
func (l line) name() string {
	var names []string
	for _, c := range l.commands {
		names = append(names, c.Name)
	}
	return strings.Join(names, " ")
}

// flags are those that may stand here: the command's own and the program's.
func (l line) flags() []cli.Flag {
	if c := l.command(); c != nil {
		return append(slices.Clone(c.Flags), l.app.Flags...)
	}
	return l.app.Flags
}

// has reports whether a flag was given.
func (l line) has(flag string) bool {
	v := l.values[flag]
	return len(v) > 0 && v[len(v)-1] != "false"
}

// check tells what is wrong with the flags, in words that the flag package does not have.
func (l line) check() error {
	before, help := "", "`ctdb-host help` lists them"
	if c := l.name(); c != "" {
		before, help = c+": ", "`ctdb-host help "+c+"` lists them"
	}
	if len(l.unknown) > 0 {
		given, _, _ := strings.Cut(l.unknown[0], "=")
		var names []string
		for _, f := range l.flags() {
			for _, n := range f.Names() {
				names = append(names, dashed(n))
			}
		}
		names = append(names, "--help")
		return usagef("%sno flag %s%s; %s", before, given, nearest(given, names), help)
	}
	if l.pending != nil {
		return usagef("%s%s needs a value: %s", before, dashed(l.pending.Names()[0]), usageOf(l.pending))
	}
	for _, f := range l.flags() {
		for _, v := range l.values[f.Names()[0]] {
			if want := wrongValue(f, v); want != "" {
				return usagef("%s%s %s: %s is needed", before, dashed(f.Names()[0]), v, want)
			}
		}
	}
	return nil
}

// wrongValue says what is needed in place of a value that the flag cannot have; empty where it can.
func wrongValue(f cli.Flag, v string) string {
	var err error
	switch f.(type) {
	case *cli.IntFlag, *cli.Int64Flag:
		if _, err = strconv.ParseInt(v, 0, 64); err != nil {
			return "a whole number"
		}
	case *cli.UintFlag, *cli.Uint64Flag:
		if _, err = strconv.ParseUint(v, 0, 64); err != nil {
			return "a whole number that is not negative"
		}
	case *cli.Float64Flag:
		if _, err = strconv.ParseFloat(v, 64); err != nil {
			return "a number"
		}
	case *cli.DurationFlag:
		if _, err = time.ParseDuration(v); err != nil {
			return "a time such as 90s, 15m or 2h"
		}
	}
	return ""
}

// dashed is a flag's name as it is written.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// usageOf is what a flag says of itself, with the name of its value but without the quotes around it.
func usageOf(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	return strings.ReplaceAll(d.GetUsage(), "`", "")
}

// placeholder is the name of a flag's value, e.g. DIR; empty where it takes none.
func placeholder(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok || !d.TakesValue() {
		return ""
	}
	if _, rest, ok := strings.Cut(d.GetUsage(), "`"); ok {
		name, _, _ := strings.Cut(rest, "`")
		return name
	}
	return "VALUE"
}

// defaultOf is a flag's default as help shows it; empty where there is none worth showing.
func defaultOf(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok || !d.TakesValue() {
		return ""
	}
	text := d.GetDefaultText()
	if text == "" {
		text = d.GetValue()
	}
	switch text {
	case "", "0", "0s", "[]", `""`:
		return ""
	}
	return fmt.Sprint(strings.Trim(text, `"`))
}

func isHelp(arg string) bool { return arg == "-h" || arg == "--help" || arg == "-help" }

func isVersion(arg string) bool { return arg == "-v" || arg == "--version" || arg == "-version" }

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// flagOf is the flag that is written so; nil where there is none.
func flagOf(flags []cli.Flag, arg string) cli.Flag {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// takesValue reports whether a flag as written is followed by its value.
func takesValue(f cli.Flag, arg string) bool {
	_, isBool := f.(*cli.BoolFlag)
	return !isBool && !strings.Contains(arg, "=")
}
