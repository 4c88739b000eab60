// What Go and the variants share. Each variant (an instruction set) compiles the *_impl.h sources once for float and once for double and offers them as
// one table of functions.
#ifndef ARM_H
#define ARM_H

#include <stddef.h>
#include <stdint.h>

enum { ARM_MUSCLES = 6 };

// The bodies.
enum { ARM_26, ARM_THELEN, ARM_POINT_MASS, ARM_COMPLIANT };

// A slot holds the batch before one step, in blocks of as many trials as a vector has lanes, so a block is rows of one vector each: coordinates, their
// velocities, activations, forces (ARM_COMPLIANT: lengths of the fibres, as multiples of the optimal ones), and what the step is given: excitations and the force
// at the hand.
enum { ROW_Q = 0, ROW_QD = 2, ROW_A = 4, ROW_F = 10, ROW_U = 16, ROW_LOAD = 22, ROWS = 24, STATE_ROWS = 16 };

// What a step computes on its way, for tests: torques, accelerations, rates of activation; of each muscle the length and velocity of the whole, its moment arms, its
// normalised length and velocity, and its factors active, passive, velocity.
enum {
	PROBE_TORQUE = 0, PROBE_QDD = 2, PROBE_RATE = 4, PROBE_LENGTH = 10, PROBE_SPEED = 16, PROBE_ARM = 22, PROBE_L = 34, PROBE_V = 40, PROBE_ACTIVE = 46,
	PROBE_PASSIVE = 52, PROBE_VELOCITY = 58, PROBE_ROWS = 64
};

// The parameters, in a precision. Names beginning with i are reciprocals. See package body for all of them.
#define ARM_PARAMETERS(number) \
	{ \
		number dt, irise, ifall, lo[2], hi[2]; \
		number upper, lower, mass11, mass12, coupling, imass; /* lengths of the links, constant mass matrix, k; of the point mass 1/m */ \
		number origin[2], a0[ARM_MUSCLES], a1[2][ARM_MUSCLES], a2[2][ARM_MUSCLES], anchor[2][ARM_MUSCLES]; \
		number force[ARM_MUSCLES], tendon[ARM_MUSCLES], itendon[ARM_MUSCLES], length[ARM_MUSCLES], ilength[ARM_MUSCLES], ivmax[ARM_MUSCLES]; \
		number shortest; \
		number mid[2], irise_half[2], ifall_half[2], hump; /* MuJoCo's two bumps: middle, reciprocals of half of their sides; height of the second */ \
		number ipassive, passive, eccentric, ieccentric, fvmax; \
		number iwidth, kpe, epassive, ihill, lengthen, steep; /* Thelen's */ \
		number base, span, vscale, least, cap, cap_value, cap_slope, toe; /* those of ARM_COMPLIANT besides */ \
	}
typedef struct ARM_PARAMETERS(double) arm_parameters;

typedef struct arm_ops arm_ops;

typedef struct {
	const arm_ops *ops;
	int body, trials, blocks, slots, substeps;
	void *mem;
	void *par;    // the parameters in the precision
	void *slot;   // [slots][blocks][ROWS][lanes]
	void *cot;    // [blocks][STATE_ROWS][lanes] gradient by the state
	void *stages; // [substeps][STATE_ROWS][lanes], where each substep of a bin of ARM_COMPLIANT begins
} arm_plant;

struct arm_ops {
	const char *name;
	int lanes, size;
	size_t parameters; // bytes of the parameters
	void (*prepare)(arm_plant *, const arm_parameters *);
	int (*finite)(long n, const void *x);
	// n columns from row on, of a slot, or of the cotangent if slot < 0
	void (*put)(arm_plant *, int slot, int row, int n, const void *src);
	void (*get)(const arm_plant *, int slot, int row, int n, void *dst);
	void (*reset)(arm_plant *, int slot);
	void (*step)(arm_plant *, int from, int to, const void *actions, const void *force);
	void (*tip)(const arm_plant *, int slot, void *dst);
	void (*senses)(const arm_plant *, int slot, void *dst);
	void (*forces)(const arm_plant *, int slot, void *dst);
	void (*back)(arm_plant *, int from, int to, const void *tip, const void *senses, void *actions, void *force);
	void (*reset_back)(arm_plant *, int slot, void *joints);
	void (*probe)(arm_plant *, int slot, void *dst); // [trials][PROBE_ROWS]
};

const arm_ops *arm_generic(int is_double);
#ifdef __x86_64__
const arm_ops *arm_avx2(int is_double), *arm_avx512(int is_double);
#endif

// The table of a variant by its name; null if there is none.
const arm_ops *arm_variant(const char *name, int is_double);
// What arm_new takes for a plant, bytes.
size_t arm_bytes(const arm_ops *ops, int body, int trials, int slots, int substeps);
// A plant with all of its memory; null if there is too little.
arm_plant *arm_new(const arm_ops *ops, int body, int trials, int slots, int substeps, const arm_parameters *p);
void arm_free(arm_plant *p);

#endif
