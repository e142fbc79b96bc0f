/* A shared library with a state of its own, as its user does not export one. */

#include <poster/poster.h>

void log_from_plugin(void);

void log_from_plugin(void) {
    for (int i = 0; i < 10; ++i) poster_log_metric("plugin", i, i);
}
