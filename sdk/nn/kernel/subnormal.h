// A mode of the processor in which subnormal numbers are zero.
#ifndef CTDB_SUBNORMAL_H
#define CTDB_SUBNORMAL_H
#include <stdint.h>

#if defined(__x86_64__)
static inline uint64_t flush_subnormals(void)
{
	const unsigned mode = __builtin_ia32_stmxcsr();
	__builtin_ia32_ldmxcsr(mode | 0x8040); // flush to zero, denormals are zero
	return mode;
}

static inline void restore_mode(uint64_t mode) { __builtin_ia32_ldmxcsr((unsigned)mode); }
#else
static inline uint64_t flush_subnormals(void)
{
	uint64_t mode;
	__asm__ volatile("mrs %0, fpcr" : "=r"(mode));
	__asm__ volatile("msr fpcr, %0" : : "r"(mode | 1u << 24) : "memory");
	return mode;
}

static inline void restore_mode(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory"); }
#endif

// A statement in that mode.
#define FLUSHED(statement) \
	do { \
		const uint64_t mode = flush_subnormals(); \
		statement; \
		restore_mode(mode); \
	} while (0)

#endif
