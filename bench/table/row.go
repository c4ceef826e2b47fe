package main

import "slices"

// row is a line of the table: medians over the rounds, by unit. The first of a group is the floor
// of the others. Ratios and differences are those within a round: a machine that slows down slows
// both sides down.
type row struct {
	group, who string
	first      bool
	median     map[string]float64
	ratio      map[string]float64 // to the floor
	more       map[string]float64 // than the floor
	timeOf     map[string]float64 // ratio of the time to that of each of the group, by who
}

func rowsOf(results []*result) []row {
	groups := map[string][]*result{}
	for _, result := range results {
		groups[result.group] = append(groups[result.group], result)
	}
	var rows []row
	for _, result := range results {
		group := groups[result.group]
		row := row{
			group:  result.group,
			who:    result.who,
			first:  result == group[0],
			median: map[string]float64{},
			ratio:  map[string]float64{},
			more:   map[string]float64{},
			timeOf: map[string]float64{},
		}
		for unit := range result.samples[0] {
			var values, differences []float64
			for round, sample := range result.samples {
				values = append(values, sample[unit])
				if round < len(group[0].samples) {
					differences = append(differences, sample[unit]-group[0].samples[round][unit])
				}
			}
			row.median[unit] = median(values)
			row.more[unit] = median(differences)
			if ratios := result.ratios(group[0], unit); len(ratios) > 0 {
				row.ratio[unit] = median(ratios)
			}
		}
		for _, other := range group {
			if ratios := result.ratios(other, nanoseconds); len(ratios) > 0 {
				row.timeOf[other.who] = median(ratios)
			}
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b row) int { return position(a.group) - position(b.group) })
	return rows
}

// ratios returns the ratio to another result in each round that both have.
func (r *result) ratios(other *result, unit string) []float64 {
	var ratios []float64
	for round := range min(len(r.samples), len(other.samples)) {
		if base := other.samples[round][unit]; base > 0 {
			ratios = append(ratios, r.samples[round][unit]/base)
		}
	}
	return ratios
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
