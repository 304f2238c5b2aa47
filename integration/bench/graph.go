package main

// layerWidth is the number of nodes of a layer, layerParents how many of the layer before each of them waits for.
const (
	layerWidth   = 100
	layerParents = 3
)

// A graph is the shape of a DAG of no-op jobs. Node i waits for the nodes parents(i), which all come before i.
type graph struct {
	shape   string
	nodes   int
	parents func(i int) []int

	// broken is whether node 0 fails. All others come after it, and are skipped.
	broken bool
}

// chain returns n nodes of which each waits for the one before.
func chain(n int) graph {
	return graph{shape: "chain", nodes: n, parents: func(i int) []int {
		if i == 0 {
			return nil
		}
		return []int{i - 1}
	}}
}

// fanOut returns one node, and n that wait for it.
func fanOut(n int) graph {
	return graph{shape: "fan-out", nodes: n + 1, parents: func(i int) []int {
		if i == 0 {
			return nil
		}
		return []int{0}
	}}
}

// fanIn returns n nodes, and one that waits for all of them.
func fanIn(n int) graph {
	return graph{shape: "fan-in", nodes: n + 1, parents: func(i int) []int {
		if i < n {
			return nil
		}
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		return all
	}}
}

// layers returns n nodes in layers.
func layers(n int) graph { return layersOf("layers", n, layerWidth) }

// wideLayers returns n nodes in layers that are ten times as wide.
func wideLayers(n int) graph { return layersOf("wide-layers", n, 10*layerWidth) }

func layersOf(shape string, n, width int) graph {
	return graph{shape: shape, nodes: n, parents: func(i int) []int {
		if i < width {
			return nil
		}
		return above(i, width)
	}}
}

// brokenLayers returns one node that fails, and n in layers, of which the first waits for it.
func brokenLayers(n int) graph {
	return graph{shape: "skips", nodes: n + 1, broken: true, parents: func(i int) []int {
		switch {
		case i == 0:
			return nil
		case i <= layerWidth:
			return []int{0}
		}
		parents := above(i-1, layerWidth)
		for k := range parents {
			parents[k]++
		}
		return parents
	}}
}

// above returns the parents of a node that is not of the first layer of this width: they are far apart, so that no part of the graph
// runs ahead of the rest.
func above(i, width int) []int {
	parents := make([]int, layerParents)
	first := i - i%width - width
	for k := range parents {
		parents[k] = first + (i+k*(width/layerParents))%width
	}
	return parents
}

// children turns the graph around: who waits for each node.
func (g graph) children() [][]int64 {
	children := make([][]int64, g.nodes)
	for i := range g.nodes {
		for _, parent := range g.parents(i) {
			children[parent] = append(children[parent], int64(i))
		}
	}
	return children
}
