// Package arm is the body of the reaching task: two joints and six muscles, or another of the [Effectors], for a batch of trials at a time, with exact
// gradients through its physics.
//
// A [Plant] is a batch of bodies. [Plant.Reset] puts them at rest in their postures, [Plant.Step] moves them by one bin, and after it
// [Plant.Fingertip], [Plant.Senses] and [Plant.State] say how they are. With a tape, [Plant.BeginBackward] and [Plant.StepBackward], from the last step
// down, turn the gradients of a scalar by what was read after each step into those by each step's actions.
//
// The equations are in package body. What a trial gets never depends on the trials beside it: all numbers are the same to the bit however a batch is
// split into plants. A Plant is not safe for concurrent use; several may be used at once.
//
// Arrays are row-major with the trials first. Units are SI and radians.
package arm
