package artifact

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// figureJSON and its parts mirror component.Figure: its slices may hold NaN (a gap in a line), which JSON writes as null.
type figureJSON struct {
	Name    string      `json:"name"`
	Title   string      `json:"title"`
	Caption string      `json:"caption"`
	Columns int         `json:"columns"`
	Panels  []panelJSON `json:"panels"`
}

type panelJSON struct {
	Title string     `json:"title"`
	X     axisJSON   `json:"x"`
	Y     axisJSON   `json:"y"`
	Equal bool       `json:"equal"`
	Marks []markJSON `json:"marks"`
}

type axisJSON struct {
	Label string   `json:"label"`
	Unit  string   `json:"unit"`
	Log   bool     `json:"log"`
	Min   float64  `json:"min"`
	Max   float64  `json:"max"`
	Ticks []string `json:"ticks,omitempty"`
}

type markJSON struct {
	Kind   component.MarkKind `json:"kind"`
	Label  string             `json:"label"`
	Group  string             `json:"group"`
	Dashed bool               `json:"dashed"`
	Faint  bool               `json:"faint"`
	X      []Number           `json:"x,omitempty"`
	Y      []Number           `json:"y,omitempty"`
	Low    []Number           `json:"low,omitempty"`
	High   []Number           `json:"high,omitempty"`
	Rows   int                `json:"rows,omitempty"`
	Cols   int                `json:"cols,omitempty"`
	Z      []Number           `json:"z,omitempty"`
	ZLabel string             `json:"z_label,omitempty"`
	ZUnit  string             `json:"z_unit,omitempty"`
}

// WriteFigure writes DIR/figures/NAME.json, after component.Figure.Check.
func WriteFigure(dir string, f component.Figure) error {
	if err := f.Check(); err != nil {
		return fmt.Errorf("artifact: %w", err)
	}
	out := figureJSON{Name: f.Name, Title: f.Title, Caption: f.Caption, Columns: f.Columns}
	for _, p := range f.Panels {
		panel := panelJSON{Title: p.Title, X: axisJSON(p.X), Y: axisJSON(p.Y), Equal: p.Equal}
		for _, m := range p.Marks {
			panel.Marks = append(panel.Marks, markJSON{
				Kind: m.Kind, Label: m.Label, Group: m.Group, Dashed: m.Dashed, Faint: m.Faint,
				X: numbers(m.X), Y: numbers(m.Y), Low: numbers(m.Low), High: numbers(m.High),
				Rows: m.Rows, Cols: m.Cols, Z: numbers(m.Z), ZLabel: m.ZLabel, ZUnit: m.ZUnit,
			})
		}
		out.Panels = append(out.Panels, panel)
	}
	folder := filepath.Join(dir, FiguresDir)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return fmt.Errorf("artifact: %w", err)
	}
	return WriteJSON(filepath.Join(folder, f.Name+".json"), out)
}

// ReadFigures reads DIR/figures/*.json, sorted by name; none is not an error.
func ReadFigures(dir string) ([]component.Figure, error) {
	folder := filepath.Join(dir, FiguresDir)
	files, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	var out []component.Figure
	for _, file := range files {
		if file.IsDir() || !strings.HasSuffix(file.Name(), ".json") {
			continue
		}
		path := filepath.Join(folder, file.Name())
		var in figureJSON
		if err := ReadJSON(path, &in); err != nil {
			return nil, err
		}
		f := in.figure()
		if err := f.Check(); err != nil {
			return nil, fmt.Errorf("artifact: %s: %w", path, err)
		}
		out = append(out, f)
	}
	return out, nil
}

func (in figureJSON) figure() component.Figure {
	f := component.Figure{Name: in.Name, Title: in.Title, Caption: in.Caption, Columns: in.Columns}
	for _, p := range in.Panels {
		panel := component.Panel{Title: p.Title, X: component.Axis(p.X), Y: component.Axis(p.Y), Equal: p.Equal}
		for _, m := range p.Marks {
			panel.Marks = append(panel.Marks, component.Mark{
				Kind: m.Kind, Label: m.Label, Group: m.Group, Dashed: m.Dashed, Faint: m.Faint,
				X: float64s(m.X), Y: float64s(m.Y), Low: float64s(m.Low), High: float64s(m.High),
				Rows: m.Rows, Cols: m.Cols, Z: float64s(m.Z), ZLabel: m.ZLabel, ZUnit: m.ZUnit,
			})
		}
		f.Panels = append(f.Panels, panel)
	}
	return f
}
