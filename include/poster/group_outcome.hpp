#pragma once
// How a multirun ended.

#include <string>
#include <vector>

#include <poster/run.hpp>

namespace poster {

// Its runs, each as its last attempt ended, in their order.
struct GroupOutcome {
    struct Member {
        std::string id, name;
        Status status = Status::finished;
        std::string reason;
    };
    std::vector<Member> runs;
    WallTime started_at{};
    Milliseconds duration{0};
};

} // namespace poster
