package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// composer makes the sections of a page and gathers the figures on the way: first all figures, then, when the groups in all of them are known, their colours.
type composer struct {
	*source
	sections []section
	figures  []placed
	// subjects take the first colours, in this order.
	subjects []string
	// reaches are animated in the section with that number; nil where there are none.
	reaches   *reaches
	reachesIn int
	// comparisons are in the sections with these numbers.
	comparisons []int
}

// placed is a figure and the section that it stands in.
type placed struct {
	section int
	figure  component.Figure
	// ticks are the values to mark along x; none where the drawing chooses.
	ticks []float64
}

func (c *composer) begin(id, title, intro string) *section {
	c.sections = append(c.sections, section{ID: id, Title: title, Intro: intro, Notes: c.notes[id]})
	return &c.sections[len(c.sections)-1]
}

func (c *composer) figure(f component.Figure) {
	c.figures = append(c.figures, placed{section: len(c.sections) - 1, figure: f})
}

// own adds the figures that a stage's component returned, under names of their own.
func (c *composer) own(st artifact.Stage) {
	figures, err := st.Figures()
	if err != nil {
		s := &c.sections[len(c.sections)-1]
		s.Notes = append(s.Notes, fmt.Sprintf("%s: its figures cannot be shown: %v", st.Name, err))
		return
	}
	for _, f := range figures {
		f.Name = fileName(st.Name + "-" + f.Name)
		c.figure(f)
	}
}

// fileName makes a figure's name of a stage's and a component's: lower-case letters, digits and single hyphens.
func fileName(s string) string {
	words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "-")
}

func (c *composer) compose(ctx context.Context) {
	c.begin("results", "Results", "")
	c.train(ctx)
	c.simulate()
	c.fit()
	c.compare()
	c.begin("parameters", "Parameters", "")
	c.parameters()
	c.begin("provenance", "Provenance", "What it takes to have these numbers again.")
	c.origin()
}

// missing says why a stage is not there: it failed, was skipped, was not asked for or was loaded from elsewhere.
func (c *composer) missing(stage, notAsked string) string {
	for _, u := range c.provenance.Stages {
		if u.Stage != stage {
			continue
		}
		why := u.Error
		if why != "" {
			why = ": " + why
		}
		switch u.Status {
		case "failed":
			return fmt.Sprintf("The stage %s failed%s", stage, why)
		case "interrupted":
			return fmt.Sprintf("The stage %s was interrupted%s", stage, why)
		case "skipped":
			return fmt.Sprintf("The stage %s was not run%s", stage, why)
		}
		return fmt.Sprintf("The stage %s is %s, but its folder has no record%s", stage, u.Status, why)
	}
	return notAsked
}

// attempt adds something to the last section, see attemptIn.
func (c *composer) attempt(what string, add func()) { c.attemptIn(len(c.sections)-1, what, add) }

// attemptIn adds something to a section. Figures are made of what anyone's components wrote: what is odder than was thought of, and panics, is left out with a note,
// since a figure is never worth a report.
func (c *composer) attemptIn(in int, what string, add func()) {
	defer func() {
		if r := recover(); r != nil {
			c.sections[in].Notes = append(c.sections[in].Notes, without(what, fmt.Errorf("they cannot be composed: %v", r), ""))
		}
	}()
	add()
}

func without(what string, err error, why string) string {
	if err != nil {
		why = err.Error()
	}
	return what + " are not shown: " + why + "."
}

// draw draws every figure in one palette, for the page and, where asked, as files.
func (c *composer) draw(ctx context.Context, asFiles bool) (files map[string][]byte, palette figure.Palette, err error) {
	groups := slices.Clone(c.subjects)
	for _, st := range c.stages(artifact.FitStage) {
		groups = append(groups, st.Label)
	}
	for _, p := range c.figures {
		groups = append(groups, figure.Groups(p.figure)...)
	}
	palette = figure.NewPalette(groups...)
	drawer := figure.New(palette)
	files = map[string][]byte{}
	for _, p := range c.figures {
		if err := ctx.Err(); err != nil {
			return nil, palette, err
		}
		f := p.figure
		d := drawing{ID: "figure-" + f.Name, Title: f.Title, Caption: f.Caption}
		drawer := drawer.TicksAt(p.ticks...)
		var inline, svg, png bytes.Buffer
		err := drawer.Inline(&inline, f)
		if err == nil && asFiles {
			err = errors.Join(drawer.SVG(&svg, f), drawer.PNG(&png, f))
		}
		if err != nil {
			d.Problem = "This figure cannot be drawn: " + err.Error()
		} else {
			d.SVG = template.HTML(inline.String())
		}
		if err == nil && asFiles {
			files[filepath.Join(artifact.FiguresDir, f.Name+".svg")] = svg.Bytes()
			files[filepath.Join(artifact.FiguresDir, f.Name+".png")] = png.Bytes()
		}
		s := &c.sections[p.section]
		d.Under = s.Comparison != nil
		s.Figures = append(s.Figures, d)
	}
	if c.reaches != nil {
		c.attemptIn(c.reachesIn, "Reaches, animated,", func() {
			s := &c.sections[c.reachesIn]
			if inline, file, err := c.reaches.animation(palette); err != nil {
				s.Notes = append(s.Notes, without("Reaches, animated,", err, ""))
			} else {
				s.Figures = append(s.Figures, moving(inline))
				if asFiles {
					files[filepath.Join(artifact.FiguresDir, animationName+".svg")] = []byte(file)
				}
			}
		})
	}
	return files, palette, nil
}
