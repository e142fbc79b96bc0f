/* `doubles COUNT`: what is written of random doubles reads back as the same double. `doubles COUNT print` shows both.
 */

#include <poster/poster.h>

static uint64_t random_bits(void) {
    static uint64_t state = 88172645463325252ULL; /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double number(long i) {
    const uint64_t bits = random_bits();
    double value;
    switch (i % 8) {
    case 0: return 0.1 * (double)i;
    case 1: return (double)(float)((double)(bits >> 40) / 16777216.0);
    case 2: return (double)(bits % 1000000) / 1000.0;
    case 3: return (double)(int64_t)bits;
    case 4: value = (double)(bits & 0xFFFFFFFFFFFFFULL) * 4.9406564584124654e-324; return value; /* subnormal */
    case 5: { /* a power of two: the number below it is nearer than the one above */
        const uint64_t power = bits & 0x7FF0000000000000ULL;
        memcpy(&value, &power, sizeof value);
        return value;
    }
    default: memcpy(&value, &bits, sizeof value); return value;
    }
}

int main(int argc, char** argv) {
    const long count = argc > 1 ? atol(argv[1]) : 0;
    for (long i = 0; i < count; ++i) {
        const double value = number(i);
        char text[64];
        double back;
        uint64_t bits, bits_back;
        memcpy(&bits, &value, sizeof bits);
        if ((bits >> 52 & 0x7FF) == 0x7FF) continue; /* by its bits: this is compiled with -ffast-math, too */
        *poster_impl_put_double(text, value) = '\0';
        back = strtod(text, NULL);
        memcpy(&bits_back, &back, sizeof bits_back);
        if (bits != bits_back || strlen(text) > POSTER_IMPL_NUMBER) {
            printf("%s is not %.17g\n", text, value);
            return 1;
        }
        if (argc > 2) printf("%s %.17g\n", text, value);
    }
    return 0;
}
