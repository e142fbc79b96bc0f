// The C++ interface, and second.c in the same program.

#include <poster/poster.h>

#include <string>

extern "C" {
#include "second.h"
}

int main() {
    const std::string name = "loss";
    poster_client::log_metric("loss", 0.5, 1);
    poster_client::log_metric(name, 0.25F, 2);
    poster_client::log_metric("loss", 1);
    poster_client::log_metrics({{"loss", 0.3}, {"acc", 0.9}}, 3);
    poster_client::log_message("half way", "warning");
    poster_client::log_message(std::string("text"));
    poster_client::log_config("optimizer", "adam");
    poster_client::log_config("name", name);
    poster_client::log_config("lr", 0.1);
    poster_client::log_config("layers", 3);
    poster_client::log_config("tokens", 18000000000UL);
    poster_client::log_config("amp", true);
    poster_client::set_summary("best", 0.97F);
    poster_client::set_summary("ok", false);
    poster_client::notify("done");
    second_file("second", 2);
    return poster_client::flush() && poster_client::active() == (poster_active() == 1) ? 0 : 1;
}
