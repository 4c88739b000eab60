package report

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/report/figure"
)

//go:embed page.html
var pageHTML string

// studyHTML defines the tables that only the page of a study has.
//
//go:embed study.html
var studyHTML string

// comparisonHTML defines the page of a comparison, and the table of all.
//
//go:embed comparison.html
var comparisonHTML string

//go:embed page.css
var pageCSS string

// Write writes the report of a run, or of a study: report.html, figures/*.svg and *.png, each file whole or not at
// all. The figures come first, so that a report is never there without them; those of an earlier report that this one does not have are removed.
func Write(ctx context.Context, run *artifact.Run) error {
	var html bytes.Buffer
	files, err := render(ctx, &html, run, true)
	if err != nil {
		return err
	}
	removeOld, err := writeFigures(run.Dir(), files)
	if err != nil {
		return err
	}
	if err := artifact.WriteFile(filepath.Join(run.Dir(), artifact.ReportFile), html.Bytes()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return removeOld()
}

// Render writes the report's page alone.
func Render(ctx context.Context, w io.Writer, run *artifact.Run) error {
	_, err := render(ctx, w, run, false)
	return err
}

// render writes the page. The figures are drawn a second time where files of their own are asked for; these are returned by their names within the run's folder.
func render(ctx context.Context, w io.Writer, run *artifact.Run, asFiles bool) (map[string][]byte, error) {
	fail := func(err error) (map[string][]byte, error) { return nil, fmt.Errorf("report: %w", err) }
	if run == nil {
		return fail(errors.New("no run was given"))
	}
	var files map[string][]byte
	var c *composer
	var err error
	kind := "run"
	if _, ok := run.Study(); ok {
		kind = "study"
		c, files, err = composeStudy(ctx, run, asFiles)
	} else {
		c, files, err = composeRun(ctx, run, asFiles)
	}
	if err != nil {
		return fail(err)
	}
	t, err := template.New("report").Parse(pageHTML + studyHTML + comparisonHTML)
	if err != nil {
		return fail(err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, c.page(kind)); err != nil {
		return fail(err)
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return fail(err)
	}
	return files, nil
}

func composeRun(ctx context.Context, run *artifact.Run, asFiles bool) (*composer, map[string][]byte, error) {
	src, err := read(ctx, run)
	if err != nil {
		return nil, nil, err
	}
	c := &composer{source: src}
	c.compose(ctx)
	files, palette, err := c.draw(ctx, asFiles)
	if err != nil {
		return nil, nil, err
	}
	c.fillResults(palette)
	return c, files, nil
}

// fillResults fills the first section and the tables of the comparisons, whose colours are known last.
func (c *composer) fillResults(palette figure.Palette) {
	colour := func(subject string) template.CSS {
		if subject == experiment.Truth {
			subject = figure.Truth
		}
		return template.CSS("background:" + palette.CSS(subject))
	}
	for _, at := range c.comparisons {
		c.sections[at].Comparison.fill(c.results, colour)
	}
	s := &c.sections[0]
	s.Overview = c.headlines(colour)
	if note := unfinished(c.run.Status()); note != "" {
		s.Notes = append([]string{note}, s.Notes...)
	}
	switch {
	case len(c.results.Metrics) > 0:
	case len(c.comparisons) == 0:
		s.Notes = append(s.Notes, "There are no results: the experiment compares nothing.")
	default:
		s.Notes = append(s.Notes, "There are no results: no comparison is complete.")
	}
}

// unfinished says what a run is that has not come to its end; what failed is told where it would stand.
func unfinished(status string) string {
	switch status {
	case "killed":
		return "The host was killed before this run had ended, so what is shown may not be all. The same command goes on where it was."
	case "interrupted":
		return "The run was interrupted, so what is shown may not be all. The same command goes on where it was."
	case "running":
		return "The run is still going on: this is what was there when the report was written."
	case "incomplete":
		return "Shares of this study have not been run yet, or not in this folder."
	}
	return ""
}

func (c *composer) page(kind string) page {
	p := page{
		Kind:   kind,
		Title:  c.provenance.Name,
		Status: c.run.Status(),
		Style:  template.CSS(pageCSS + figure.Stylesheet()),
		Host:   c.provenance.Host,
	}
	if p.Title == "" {
		p.Title = c.outline.Name
	}
	if p.Title == "" {
		p.Title = filepath.Base(c.run.Dir())
	}
	for paragraph := range strings.SplitSeq(c.outline.About, "\n\n") {
		if paragraph = strings.TrimSpace(paragraph); paragraph != "" {
			p.About = append(p.About, paragraph)
		}
	}
	if d := day(c.provenance.Started); d != "" {
		p.Lead = append(p.Lead, d)
	}
	if !c.provenance.Started.IsZero() && !c.provenance.Finished.IsZero() {
		p.Lead = append(p.Lead, "took "+span(c.provenance.Finished.Sub(c.provenance.Started).Seconds()))
	}
	if c.outline.Seed != nil {
		p.Lead = append(p.Lead, "seed "+value(c.outline.Seed))
	}
	if point := pointOf(c.provenance); point != "" {
		p.Lead = append(p.Lead, point)
	}
	if p.Status == "done" {
		p.Status = ""
	}
	for _, s := range c.sections {
		// A note may hold several lines of an error; they are set as one paragraph.
		for i, n := range s.Notes {
			s.Notes[i] = strings.TrimSpace(n)
		}
		p.Sections = append(p.Sections, s)
	}
	return p
}
