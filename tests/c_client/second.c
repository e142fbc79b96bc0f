/* Another file of the same program. */

#include <poster/poster.h>

#include "second.h"

void second_file(const char* name, double value) {
    poster_log_metric(name, value, POSTER_NO_STEP);
}
