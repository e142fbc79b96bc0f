#include "run_id.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <ctime>

#include "clock.hpp"

namespace poster {

namespace {

constexpr std::string_view kLetters = "23456789abcdefghjkmnpqrstuvwxyz"; // no 0 o 1 l i
constexpr std::size_t kStamp = 15;                                       // 20261123-070213
constexpr std::size_t kRandom = 4;

std::uint64_t random_number() {
    std::uint64_t number = 0;
    if (::getrandom(&number, sizeof number, GRND_NONBLOCK) == sizeof number) return number;
    timespec now{}; // early at boot, or a kernel that forbids it: mkdir decides anyway
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return (std::uint64_t(now.tv_nsec) * 2654435761U) ^ (std::uint64_t(::getpid()) << 20);
}

} // namespace

std::string new_run_id(WallTime now) {
    std::string id = compact_utc(now) + '-';
    std::uint64_t number = random_number();
    for (std::size_t i = 0; i < kRandom; ++i) {
        id += kLetters[number % kLetters.size()];
        number /= kLetters.size();
    }
    return id;
}

bool is_run_id(std::string_view text) {
    if (text.size() != kStamp + 1 + kRandom) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (i == 8 || i == kStamp) {
            if (c != '-') return false;
        } else if (i < kStamp) {
            if (c < '0' || c > '9') return false;
        } else if (kLetters.find(c) == std::string_view::npos) {
            return false;
        }
    }
    return true;
}

} // namespace poster
