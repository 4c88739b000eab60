package report

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/report/figure"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// Write writes report.html and figures/*.svg and *.png into the run's folder, each file whole or not at all. The figures come first, so that a report is
// never there without them.
func Write(ctx context.Context, run *artifact.Run) error {
	var html bytes.Buffer
	files, err := render(ctx, &html, run)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(run.Dir(), artifact.FiguresDir), 0o777); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := artifact.WriteFile(filepath.Join(run.Dir(), name), files[name]); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	if err := artifact.WriteFile(filepath.Join(run.Dir(), artifact.ReportFile), html.Bytes()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// Render writes the report's page alone.
func Render(ctx context.Context, w io.Writer, run *artifact.Run) error {
	_, err := render(ctx, w, run)
	return err
}

// render writes the page and returns the files of its figures by their names within the run's folder.
func render(ctx context.Context, w io.Writer, run *artifact.Run) (map[string][]byte, error) {
	if run == nil {
		return nil, errors.New("report: no run was given")
	}
	src, err := read(ctx, run)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	c := &composer{source: src}
	c.compose(ctx)
	files, palette, err := c.draw(ctx)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	c.fillResults(palette)
	t, err := template.New("report").Parse(pageHTML)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, c.page()); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return files, nil
}

// fillResults fills the first section, whose colours are known last.
func (c *composer) fillResults(palette figure.Palette) {
	s := &c.sections[0]
	s.Tables = metricTables(c.results.Metrics, func(subject string) string {
		if subject == experiment.Truth {
			return palette.CSS(figure.Truth)
		}
		return palette.CSS(subject)
	})
	s.Readings = readings(s.Tables)
	if len(s.Tables) == 0 {
		s.Notes = append(s.Notes, "There are no results: no comparison is complete.")
	}
}

func (c *composer) page() page {
	p := page{
		Title:  c.provenance.Name,
		Status: c.provenance.Status,
		Style:  template.CSS(pageCSS + figure.Stylesheet()),
		Host:   c.provenance.Host,
	}
	if p.Title == "" {
		p.Title = c.outline.Name
	}
	if p.Title == "" {
		p.Title = filepath.Base(c.run.Dir())
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
