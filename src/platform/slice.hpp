#pragma once
// A piece of an open file, read block by block.

#include <cstdint>
#include <functional>
#include <string_view>

namespace poster {

enum class SliceRead { whole, shorter, failed, cancelled }; // failed: errno says why

constexpr std::uint64_t kToTheEnd = UINT64_MAX; // of a file, wherever that is: what is read of it is `shorter` then

// `cancelled` is asked at each block.
SliceRead read_slice(int file, std::uint64_t offset, std::uint64_t length,
                     const std::function<void(std::string_view)>& take, const std::function<bool()>& cancelled = {});

} // namespace poster
