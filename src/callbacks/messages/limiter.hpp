#pragma once
// A few at once, then one a minute. Goes by the times of the events alone, so that who reads them again decides the
// same.

#include <algorithm>
#include <cstdint>

namespace poster {

class Limiter {
public:
    static constexpr double kAtOnce = 3;
    static constexpr double kEachSeconds = 60;

    // `now`: seconds since any beginning. False: it is counted among those left out.
    bool allow(double now) {
        tokens_ = std::min(kAtOnce, tokens_ + std::max(0.0, now - then_) / kEachSeconds);
        then_ = std::max(then_, now);
        if (tokens_ < 1) {
            ++left_out_;
            return false;
        }
        tokens_ -= 1;
        return true;
    }
    // How many were left out since this was asked last.
    std::uint64_t take_left_out() {
        const std::uint64_t count = left_out_;
        left_out_ = 0;
        return count;
    }

private:
    double tokens_ = kAtOnce, then_ = 0;
    std::uint64_t left_out_ = 0;
};

} // namespace poster
