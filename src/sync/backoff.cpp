#include "backoff.hpp"

#include <algorithm>
#include <random>

namespace poster {

namespace {

constexpr Milliseconds kFirst{1'000};
constexpr Milliseconds kMost{600'000};
constexpr int kDoublings = 10;

} // namespace

Milliseconds wait_after(int tries, std::optional<Milliseconds> asked_for) {
    std::random_device seed;
    std::uniform_real_distribution<double> spread(0.75, 1.25);
    const auto plain = std::min(kFirst * (1 << std::clamp(tries - 1, 0, kDoublings)), kMost);
    const Milliseconds ours{std::int64_t(double(plain.count()) * spread(seed))};
    return asked_for ? std::max(ours, *asked_for) : ours;
}

} // namespace poster
