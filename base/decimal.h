/*
 * decimal.h - the order of numbers that must stay text, such as "1763600000.123459": a double
 * would lose their last digits.
 *
 * Threads: any.
 */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

/*
 * Below, at or above 0 as `a` is before, at or after `b`: the whole part as a number of any
 * length, then the fraction. What is no number is compared as bytes, so "" is before all.
 */
int decimal_compare(const char *a, const char *b);

#endif
