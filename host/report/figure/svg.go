package figure

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/color"
	"strings"
)

// dress gives the canvas's SVG an opening tag of ours: named for readers who do not see it, with fonts of the same metrics where Liberation is not
// installed, and, for a page, with colours as variables.
func dress(svg []byte, pg *page, inline bool) ([]byte, error) {
	start := bytes.Index(svg, []byte("<svg"))
	if start < 0 {
		return nil, fmt.Errorf("figure: %q: the canvas wrote no svg element", pg.figure.Name)
	}
	end := bytes.IndexByte(svg[start:], '>')
	if end < 0 {
		return nil, fmt.Errorf("figure: %q: the canvas wrote a broken svg element", pg.figure.Name)
	}
	body := string(svg[start+end+1:])
	replace := []string{
		"font-family:Liberation Sans;", "font-family:'Liberation Sans',Arimo,Arial,Helvetica,sans-serif;",
		"font-variant:none;", "",
		"font-weight:normal;", "",
		"font-style:normal;", "",
		"data:image/jpg;base64,", "data:image/png;base64,",
		"<image ", `<image preserveAspectRatio="none" style="image-rendering:pixelated" `,
	}
	if inline {
		for _, s := range shades() {
			for _, opacity := range []float64{1, bandAlpha, faintAlpha, 0.85} {
				hex := canvasHex(alpha(s.light, opacity))
				replace = append(replace, ":"+hex, ":"+cssVar(s))
			}
		}
	}
	if inline {
		replace = append(replace, "xlink:href=", "href=")
	}
	body = inTags(body, strings.NewReplacer(dedupe(replace)...))
	var out bytes.Buffer
	if !inline {
		out.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
	}
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" `)
	if !inline {
		out.WriteString(`xmlns:xlink="http://www.w3.org/1999/xlink" `)
	}
	fmt.Fprintf(&out, `width="%.5gpt" height="%.5gpt" viewBox="0 0 %.5g %.5g" stroke-linejoin="round" role="img" aria-label="`,
		pg.width.Points(), pg.height.Points(), pg.width.Points(), pg.height.Points())
	name := pg.figure.Title
	if name == "" {
		name = pg.figure.Name
	}
	if err := xml.EscapeText(&out, []byte(name)); err != nil {
		return nil, fmt.Errorf("figure: %q: %w", pg.figure.Name, err)
	}
	out.WriteString(`">`)
	out.WriteString(body)
	return out.Bytes(), nil
}

// inTags replaces within the tags alone, so that no label changes. Text holds no angle brackets: the canvas escapes them.
func inTags(svg string, r *strings.Replacer) string {
	var out strings.Builder
	for {
		start := strings.IndexByte(svg, '<')
		if start < 0 {
			break
		}
		end := strings.IndexByte(svg[start:], '>')
		if end < 0 {
			break
		}
		out.WriteString(svg[:start])
		out.WriteString(r.Replace(svg[start : start+end+1]))
		svg = svg[start+end+1:]
	}
	out.WriteString(svg)
	return out.String()
}

// dedupe keeps the first of the pairs with the same left side.
func dedupe(pairs []string) []string {
	seen := map[string]bool{}
	var out []string
	for i := 0; i < len(pairs); i += 2 {
		if !seen[pairs[i]] {
			seen[pairs[i]] = true
			out = append(out, pairs[i], pairs[i+1])
		}
	}
	return out
}

// canvasHex is the colour as the SVG canvas writes it, which undoes the premultiplied alpha with a rounding of its own.
func canvasHex(c color.NRGBA) string {
	r, g, b, a := c.RGBA()
	f := 255 / float64(a)
	return fmt.Sprintf("#%02X%02X%02X", int(float64(r)*f), int(float64(g)*f), int(float64(b)*f))
}

func hex(c color.NRGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

func cssVar(s shade) string { return "var(--fig-" + s.name + "," + hex(s.light) + ")" }

// Stylesheet sets the variables that figures drawn by [Drawer.Inline] use, for a dark page and, again light, for print.
func Stylesheet() string {
	var b strings.Builder
	b.WriteString("@media screen and (prefers-color-scheme: dark) {\n  :root {")
	for _, s := range shades() {
		fmt.Fprintf(&b, " --fig-%s: %s;", s.name, hex(s.dark))
	}
	b.WriteString(" }\n}\n")
	return b.String()
}
