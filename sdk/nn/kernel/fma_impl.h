// Multiplications and additions that wait for nothing: what the arithmetic units of one core can do at most, whatever the memory and the code of the products.

enum { T_(chains) = 12 }; // independent of each other, more than a unit's latency times the units, and with what they need still in registers

// a <- a / 2 + 1 in every lane of every chain, times times, from the chain's number on. The sum of all keeps the compiler from leaving it out.
static double FN(fma_repeat)(long times)
{
	volatile REAL half = (REAL)0.5, one = 1; // unknown to the compiler
	const v m = splat(half), s = splat(one);
	v a[T_(chains)];
	for (int i = 0; i < T_(chains); i++) a[i] = splat((REAL)i);
	while (times-- > 0)
#pragma GCC unroll 12
		for (int i = 0; i < T_(chains); i++) a[i] = a[i] * m + s;
	double sum = 0;
	for (int i = 0; i < T_(chains); i++)
		for (int l = 0; l < VL; l++) sum += a[i][l];
	return sum;
}
