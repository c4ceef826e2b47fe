package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const twoRounds = `goos: linux
cpu: Some Processor
BenchmarkMemoryCashOut/floor-2   	    8877	     10000 ns/op	    5000 B/op	      50 allocs/op
BenchmarkMemoryCashOut/connectpsp-2         	    7294	     11000 ns/op	    4000 B/op	      40 allocs/op
BenchmarkLoopbackCashOut64/floor 	 710	 100 ns/op	 64.00 connections	 10 B/op	 1 allocs/op
BenchmarkLoopbackCashOut64/connectpsp 	 710	 100 ns/op	 69.00 connections	 10 B/op	 1 allocs/op
PASS
BenchmarkMemoryCashOut/floor-2   	    8877	     20000 ns/op	    5000 B/op	      50 allocs/op
BenchmarkMemoryCashOut/connectpsp-2         	    7294	     21000 ns/op	    4000 B/op	      40 allocs/op
`

func TestRatiosAreThoseOfTheSameRound(t *testing.T) {
	rows := rowsOf(parse(twoRounds))
	require.Len(t, rows, 4)
	assert.True(t, rows[0].first)
	assert.InDelta(t, 15000, rows[0].median[nanoseconds], 0)
	assert.InDelta(t, (1.1+1.05)/2, rows[1].ratio[nanoseconds], 1e-9)
	assert.InDelta(t, 0.8, rows[1].ratio[bytes], 1e-9)
	assert.InDelta(t, -10, rows[1].more[allocs], 0)
	assert.Equal(t, "Some Processor", processor(twoRounds))
}

func TestAnSDKIsComparedWithTheOthersOfItsGroupWhicheverComesFirst(t *testing.T) {
	rows := rowsOf(parse(`
BenchmarkMemoryCashIn/floor 1 10000 ns/op
BenchmarkMemoryCashIn/connectpsp 1 9000 ns/op
BenchmarkMemoryCashIn/mercadopago 1 12000 ns/op
`))
	assert.Contains(t, markdown(rows), "time of mercadopago's 0.75 of 1.00/0.80: met")
}

func TestGoalsAreMetRequiredOrMissed(t *testing.T) {
	table := markdown(rowsOf(parse(twoRounds)))
	assert.Contains(t, table, "time 1.08 of 1.05/0.90: **missed**")
	assert.Contains(t, table, "allocations 40 of 60/46: met")
	assert.Contains(t, table, "time 1.00 of 1.05/0.95: required")
	assert.Contains(t, table, "| 69 connections |")
}

func TestEveryGoalIsOfATitledGroupAndStretchIsNoEasierThanRequired(t *testing.T) {
	for _, goal := range goals {
		assert.LessOrEqual(t, goal.stretch, goal.required, goal.group)
		assert.Less(t, position(goal.group), len(titles), goal.group)
	}
}

func TestTheTableIsPutBetweenTheMarks(t *testing.T) {
	replaced, err := replace("before\n"+beginMark+"old\n"+endMark+"after\n", "new\n")
	require.NoError(t, err)
	assert.Equal(t, "before\n"+beginMark+"new\n"+endMark+"after\n", replaced)
	_, err = replace("no marks", "new")
	assert.Error(t, err)
}
