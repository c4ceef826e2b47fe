package main

import "slices"

// row is a line of the table: medians over the rounds, by unit. The first of a group is the floor of the others.
type row struct {
	group, who string
	first      bool
	median     map[string]float64
	ratio      map[string]float64 // to the floor in the same round: a machine that slows down slows both down
	more       map[string]float64 // than the floor in the same round
}

func rowsOf(results []*result) []row {
	var rows []row
	floors := map[string]*result{}
	for _, result := range results {
		floor := floors[result.group]
		if floor == nil {
			floors[result.group], floor = result, result
		}
		row := row{
			group:  result.group,
			who:    result.who,
			first:  floor == result,
			median: map[string]float64{},
			ratio:  map[string]float64{},
			more:   map[string]float64{},
		}
		for unit := range result.samples[0] {
			var values, ratios, differences []float64
			for round, sample := range result.samples {
				values = append(values, sample[unit])
				if round < len(floor.samples) {
					base := floor.samples[round][unit]
					differences = append(differences, sample[unit]-base)
					if base > 0 {
						ratios = append(ratios, sample[unit]/base)
					}
				}
			}
			row.median[unit] = median(values)
			row.more[unit] = median(differences)
			if len(ratios) > 0 {
				row.ratio[unit] = median(ratios)
			}
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b row) int { return position(a.group) - position(b.group) })
	return rows
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
