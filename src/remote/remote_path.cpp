#include "remote_path.hpp"

#include <random>

#include <fmt/format.h>

#include <error.hpp>
#include <sha256.hpp>
#include <text.hpp>

namespace poster {

namespace {

constexpr std::string_view kPartPrefix = ".poster-";
constexpr std::string_view kPartEnding = ".part";
constexpr std::size_t kPartDigits = 32;

} // namespace

std::vector<std::string> remote_path_parts(std::string_view path) {
    std::vector<std::string> parts;
    for (std::size_t begin = 0;;) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string_view part = path.substr(begin, end - begin);
        if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string_view::npos)
            throw Error("the path " + shell_quote(path) + " leads out of the place it is in");
        parts.emplace_back(part);
        if (end == path.size()) return parts;
        begin = end + 1;
    }
}

std::string part_name(std::string_view word) {
    return std::string{kPartPrefix} + sha256_hex(word).substr(0, kPartDigits) + std::string{kPartEnding};
}

std::string beginning_of_fresh_part_names(std::string_view word) {
    return std::string{kPartPrefix} + sha256_hex(word).substr(0, kPartDigits / 2);
}

std::string fresh_part_name(std::string_view word) {
    std::random_device random; // of 32 bits
    return fmt::format("{}{:08x}{:08x}{}", beginning_of_fresh_part_names(word), random(), random(), kPartEnding);
}

bool is_part_name(std::string_view name) {
    return name.size() == kPartPrefix.size() + kPartDigits + kPartEnding.size() && name.starts_with(kPartPrefix) &&
           name.ends_with(kPartEnding) &&
           name.substr(kPartPrefix.size(), kPartDigits).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

} // namespace poster
