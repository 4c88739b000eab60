package figure

import (
	"image/color"
	"math"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const boldWeight = xfont.WeightBold

// Sizes of text, in points.
const (
	tickSize  = 8.5
	labelSize = 9.5
	titleSize = 12.5
)

// typesetter measures and sets text in Liberation Sans, whose metrics are Arial's and Helvetica's.
type typesetter struct{ plain text.Plain }

func newTypesetter() typesetter {
	return typesetter{text.Plain{Fonts: font.NewCache(liberation.Collection())}}
}

func (t typesetter) style(size vg.Length, bold bool, c color.Color) draw.TextStyle {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	if bold {
		f.Weight = boldWeight
	}
	return text.Style{Font: f, Color: c, Handler: t.plain, YAlign: draw.YBottom}
}

// capHeight is the height of a digit above the baseline.
func capHeight(size vg.Length) vg.Length { return size * 0.72 }

func width(s draw.TextStyle, txt string) vg.Length {
	if txt == "" {
		return 0
	}
	return s.Width(txt)
}

// fit shortens a text to a width, with an ellipsis.
func fit(s draw.TextStyle, txt string, limit vg.Length) string {
	if width(s, txt) <= limit {
		return txt
	}
	runes := []rune(txt)
	low, high := 0, len(runes)
	for low < high {
		mid := (low + high + 1) / 2
		if width(s, string(runes[:mid])+"…") <= limit {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return string(runes[:low]) + "…"
}

// anchor says which point of a text is placed, as fractions of its width and of its capital height from its lower left.
type anchor struct{ x, y float64 }

// put sets a text with its anchor at pt, turned by angle (radians, anticlockwise).
func put(c draw.Canvas, s draw.TextStyle, pt vg.Point, a anchor, angle float64, txt string) {
	if txt == "" {
		return
	}
	dx, dy := -vg.Length(a.x)*width(s, txt), -vg.Length(a.y)*capHeight(s.Font.Size)
	sin, cos := math.Sincos(angle)
	c.Push()
	c.Translate(vg.Point{
		X: pt.X + dx*vg.Length(cos) - dy*vg.Length(sin),
		Y: pt.Y + dx*vg.Length(sin) + dy*vg.Length(cos),
	})
	if angle != 0 {
		c.Rotate(angle)
	}
	c.SetColor(s.Color)
	c.FillString(s.Handler.Cache().Lookup(s.Font, s.Font.Size), vg.Point{}, txt)
	c.Pop()
}
