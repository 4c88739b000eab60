// Package figure draws a [component.Figure] with gonum/plot's canvases, as SVG and as PNG, alike whoever the figure comes from.
//
// The same figure and palette give the same bytes. Colours can be told apart by the colour-blind: groups take Okabe and Ito's palette
// (https://jfly.uni-koeln.de/color), heat maps take viridis. A long line is thinned to what the picture can show without losing a spike;
// so are dense point clouds and rasters. Whatever is not finite, or not positive on a logarithmic axis, is left out. Legends stand above
// the panels, so that they never cover data.
package figure
