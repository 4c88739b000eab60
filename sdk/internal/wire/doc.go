// Package wire converts between the protocol's messages and the Go types of the SDK. It is the only place that does: packages serve and client
// call it and otherwise see plain Go.
//
// Arrays travel in two forms. A small one is a single [tensorv1.Tensor] ([ToTensor], [FromTensor]). Blocks of trials and sets of weights are a
// sequence of [tensorv1.Frame] ([SendBlocks], [SendSet]), put together again by an [Assembler], which checks every limit before it believes a
// header, allocates only as data arrives, and verifies each array's CRC-32C.
//
// A failure is a gRPC status with a [pluginv1.Failure] as its detail ([ToStatus], [FromStatus]).
package wire

// Limits of the protocol; proto/README.md states them for other languages.
const (
	// ChunkBytes is the largest piece of an array in a frame.
	ChunkBytes = 1 << 20
	// MessageBytes is what a sender that can split a message does not pass.
	MessageBytes = 4 << 20
	// FigureBytes is the largest figure.
	FigureBytes = 8 << 20
	// ReceiveBytes is the largest message that is taken.
	ReceiveBytes = 16 << 20
	// MaxTrials is the largest number of trials in a block.
	MaxTrials = 1_000_000
	// MaxArrays is the largest number of arrays in a block.
	MaxArrays = 1 << 16

	maxAxes = 32
	maxName = 1024
	// maxEmptyAxis is the longest axis of an array that has no elements.
	maxEmptyAxis = 1 << 20
)

// Keys of the metadata of each call.
const (
	// TokenKey carries what allows the call.
	TokenKey = "ctdb-token"
	// InstanceKey names the instance that is called.
	InstanceKey = "ctdb-instance"
)

// The arrays of a set of Jacobians.
const (
	JacobianState = "d_state"
	JacobianInput = "d_input"
)
