package main

import (
	"slices"
	"testing"
)

func TestParentsComeBeforeTheirChildrenAndDiffer(t *testing.T) {
	for _, c := range []struct {
		graph graph
		edges int
		roots int
	}{
		{chain(5), 4, 1},
		{fanOut(7), 7, 1},
		{fanIn(7), 7, 7},
		{layers(1_000), 900 * layerParents, layerWidth},
		{layers(1_001), 901 * layerParents, layerWidth},
		{wideLayers(10_000), 9_000 * layerParents, 10 * layerWidth},
		{brokenLayers(1_000), layerWidth + 900*layerParents, 1},
	} {
		edges, roots := 0, 0
		for i := range c.graph.nodes {
			parents := slices.Sorted(slices.Values(c.graph.parents(i)))
			if len(slices.Compact(parents)) < len(c.graph.parents(i)) {
				t.Errorf("%s: node %d has a parent twice", c.graph.shape, i)
			}
			if len(parents) == 0 {
				roots++
				continue
			}
			edges += len(parents)
			if first, last := parents[0], parents[len(parents)-1]; first < 0 || last >= i {
				t.Errorf("%s: node %d waits for %d to %d", c.graph.shape, i, first, last)
			}
		}
		if edges != c.edges || roots != c.roots {
			t.Errorf("%s: %d edges, %d roots; want %d, %d", c.graph.shape, edges, roots, c.edges, c.roots)
		}
		children := 0
		for _, list := range c.graph.children() {
			children += len(list)
		}
		if children != edges {
			t.Errorf("%s: %d children of %d edges", c.graph.shape, children, edges)
		}
	}
}
