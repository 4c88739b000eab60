// Go cannot call through a function pointer: one line for each entry of the table. While a kernel works, subnormal numbers are zero.
#ifndef ARM_CALLS_H
#define ARM_CALLS_H
#include "arm.h"
#include "../../../../sdk/nn/kernel/subnormal.h"

static inline int call_finite(arm_plant *p, long n, const void *x) { return p->ops->finite(n, x); }
static inline void call_put(arm_plant *p, int slot, int row, int n, const void *src) { p->ops->put(p, slot, row, n, src); }
static inline void call_get(arm_plant *p, int slot, int row, int n, void *dst) { p->ops->get(p, slot, row, n, dst); }
static inline void call_tip(arm_plant *p, int slot, void *dst) { p->ops->tip(p, slot, dst); }
static inline void call_probe(arm_plant *p, int slot, void *dst) { p->ops->probe(p, slot, dst); }

static inline void call_reset(arm_plant *p, int slot, const void *joints)
{
	p->ops->put(p, slot, ROW_Q, 2, joints);
	FLUSHED(p->ops->reset(p, slot));
}

static inline void call_step(arm_plant *p, int from, int to, const void *actions, const void *force)
{
	FLUSHED(p->ops->step(p, from, to, actions, force));
}

static inline void call_senses(arm_plant *p, int slot, void *dst) { FLUSHED(p->ops->senses(p, slot, dst)); }
static inline void call_forces(arm_plant *p, int slot, void *dst) { FLUSHED(p->ops->forces(p, slot, dst)); }

static inline void call_back(arm_plant *p, int from, int to, const void *tip, const void *senses, void *actions, void *force)
{
	FLUSHED(p->ops->back(p, from, to, tip, senses, actions, force));
}

static inline void call_reset_back(arm_plant *p, int slot, void *joints) { FLUSHED(p->ops->reset_back(p, slot, joints)); }

#endif
