package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// completionFlag is the hidden last argument with which a shell asks what could come in place of the argument before it, which may be empty.
const completionFlag = "--generate-bash-completion"

// completionTimeout bounds what a user waits for after pressing the tab key.
const completionTimeout = 3 * time.Second

// candidate is a word that could stand there, whole, and what it means; the meaning may be empty.
type candidate struct{ word, meaning string }

// complete prints what could come in place of the last word, one a line, with its meaning after a tab. Whatever is wrong, it says nothing.
func (p Program) complete(ctx context.Context, app *cli.App, words []string) {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	last := words[len(words)-1]
	for _, c := range p.candidates(ctx, takeApart(app, words[:len(words)-1]), last, slices.Contains(words[:len(words)-1], "--")) {
		if strings.HasPrefix(c.word, last) && !strings.ContainsAny(c.word, "\n\t") {
			meaning, _, _ := strings.Cut(c.meaning, "\n")
			fmt.Fprintf(p.Out, "%s\t%s\n", c.word, meaning)
		}
	}
}

// candidates lists what could come after a line. onlyArgs is true after "--".
func (p Program) candidates(ctx context.Context, l line, last string, onlyArgs bool) []candidate {
	if l.pending != nil {
		return p.flagValues(ctx, l, l.pending, last)
	}
	if !onlyArgs && strings.HasPrefix(last, "-") {
		name, value, joined := strings.Cut(last, "=")
		if !joined {
			return flagNames(l)
		}
		f := flagOf(l.flags(), name)
		if f == nil {
			return nil
		}
		var out []candidate
		for _, c := range p.flagValues(ctx, l, f, value) {
			out = append(out, candidate{name + "=" + c.word, c.meaning})
		}
		return out
	}
	c := l.command()
	if c == nil || len(c.Subcommands) > 0 {
		commands := l.app.Commands
		if c != nil {
			commands = c.Subcommands
		}
		if len(l.positional) > 0 {
			return nil
		}
		var out []candidate
		for _, sub := range commands {
			if !sub.Hidden {
				out = append(out, candidate{sub.Name, sub.Usage})
			}
		}
		return out
	}
	return p.arguments(ctx, l, last)
}

// flagNames lists the flags that may still be given.
func flagNames(l line) []candidate {
	var out []candidate
	for _, f := range l.flags() {
		if v, ok := f.(cli.VisibleFlag); ok && !v.IsVisible() {
			continue
		}
		if _, repeats := f.(*cli.StringSliceFlag); l.has(f.Names()[0]) && !repeats {
			continue
		}
		for _, n := range f.Names() {
			if len(n) > 1 {
				out = append(out, candidate{dashed(n), usageOf(f)})
			}
		}
	}
	return append(out, candidate{"--help", "show help"})
}

// flagValues lists values of a flag by the name that its help has for them.
func (p Program) flagValues(ctx context.Context, l line, f cli.Flag, last string) []candidate {
	if f.Names()[0] == "set" {
		return p.overrides(ctx, l, last)
	}
	return p.named(ctx, l, placeholder(f), last)
}

// arguments lists what a command's next argument could be, by what its help calls it.
func (p Program) arguments(ctx context.Context, l line, last string) []candidate {
	names := strings.Fields(l.command().ArgsUsage)
	if len(names) == 0 {
		return nil
	}
	repeats := strings.Contains(names[len(names)-1], "...")
	n := len(l.positional)
	if n >= len(names) {
		if !repeats {
			return nil
		}
		n = len(names) - 1
	}
	return p.named(ctx, l, strings.Trim(names[n], "[]."), last)
}

// named lists what a name such as FILE|EXAMPLE stands for; a name in lower case stands for itself.
func (p Program) named(ctx context.Context, l line, names, last string) []candidate {
	var out []candidate
	for name := range strings.SplitSeq(names, "|") {
		switch name {
		case "DIR":
			out = append(out, paths(last, nothing)...)
		case "FILE":
			out = append(out, paths(last, isYAML)...)
		case "PATH":
			out = append(out, paths(last, anything)...)
		case "EXAMPLE":
			out = append(out, examples()...)
		case "NAME":
			if l.name() == "examples" {
				out = append(out, examples()...)
			}
		case "RUN":
			out = append(out, runs(l, last)...)
		case "COMPONENT":
			out = append(out, p.componentNames(ctx, l, "")...)
		case "KIND":
			out = append(out, kinds()...)
		case "COMMAND":
			for _, c := range l.app.Commands {
				out = append(out, candidate{c.Name, c.Usage})
			}
		case "TOPIC":
			for _, t := range topics() {
				out = append(out, candidate{t.name, t.usage})
			}
		default:
			if name != "" && name == strings.ToLower(name) {
				out = append(out, candidate{name, ""})
			}
		}
	}
	return out
}

func (p Program) completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print what makes a shell complete this program's command lines", ArgsUsage: "bash|zsh|fish", OnUsageError: onUsage,
		Description: "Commands, flags, experiment files, examples, runs, components and the paths of --set are completed.",
		Action: func(c *cli.Context) error {
			shell, err := oneArg(c, "a shell: bash, zsh or fish")
			if err != nil {
				return err
			}
			script, ok := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[shell]
			if !ok {
				return usagef("completion: no script for %q: bash, zsh or fish is needed%s", shell, nearest(shell, []string{"bash", "zsh", "fish"}))
			}
			_, err = fmt.Fprint(p.Out, script)
			return err
		},
	}
}

// bashScript takes the words of the line together again where bash has split them at "=" and ":", and gives back what comes after the last of these. It runs on
// bash 3.2.
const bashScript = `# Completion of ctdb-host in bash. In ~/.bashrc: eval "$(ctdb-host completion bash)"
_ctdb_host() {
    local -a words
    local i word cur rest=$COMP_LINE value drop= IFS=$' \t\n'
    COMPREPLY=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i > 0)) && [[ $rest != [[:blank:]]* ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        rest=${rest#"${rest%%[![:blank:]]*}"}
        rest=${rest#"$word"}
    done
    cur=${words[${#words[@]} - 1]}
    for value in = :; do
        word=${cur##*$value}
        if [[ $COMP_WORDBREAKS == *$value* && $cur == *$value* && ${#drop} -lt $((${#cur} - ${#word})) ]]; then
            drop=${cur:0:${#cur} - ${#word}}
        fi
    done
    while IFS=$'\t' read -r value _; do
        COMPREPLY+=("${value#"$drop"}")
    done < <("$1" "${words[@]:1}" --generate-bash-completion 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && $COMPREPLY == *[/=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _ctdb_host ctdb-host
`

const zshScript = `#compdef ctdb-host
# Completion of ctdb-host in zsh. In ~/.zshrc, after compinit: eval "$(ctdb-host completion zsh)"
_ctdb_host() {
    local line
    local -a whole wholeShown open openShown
    for line in "${(@f)$("${words[1]}" "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" --generate-bash-completion 2>/dev/null)}"; do
        [[ -z $line ]] && continue
        local value=${line%%$'\t'*} meaning=${line#*$'\t'}
        local shown=$value${meaning:+  -- $meaning}
        if [[ $value == *[/=] ]]; then
            open+=("$value") openShown+=("$shown")
        else
            whole+=("$value") wholeShown+=("$shown")
        fi
    done
    ((${#whole})) && compadd -l -d wholeShown -a whole
    ((${#open})) && compadd -l -S '' -d openShown -a open
}
compdef _ctdb_host ctdb-host
`

const fishScript = `# Completion of ctdb-host in fish: ctdb-host completion fish > ~/.config/fish/completions/ctdb-host.fish
function __ctdb_host_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    $program $words --generate-bash-completion 2>/dev/null
end
complete -c ctdb-host -f -a '(__ctdb_host_complete)'
`
