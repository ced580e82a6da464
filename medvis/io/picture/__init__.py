"""The parts of heatmap.png: text, canvas, slices, panels, sidebar. Grey image, evidence and findings in; pixels out."""
