#include "slice.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

namespace poster {

SliceRead read_slice(int file, std::uint64_t offset, std::uint64_t length,
                     const std::function<void(std::string_view)>& take, const std::function<bool()>& cancelled) {
    std::string block(std::min<std::uint64_t>(length, 256 << 10), '\0');
    while (length > 0) {
        if (cancelled && cancelled()) return SliceRead::cancelled;
        const ssize_t got = ::pread(file, block.data(), std::min<std::uint64_t>(length, block.size()), off_t(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return SliceRead::failed;
        if (got == 0) return SliceRead::shorter;
        take({block.data(), std::size_t(got)});
        offset += std::uint64_t(got);
        length -= std::uint64_t(got);
    }
    return SliceRead::whole;
}

} // namespace poster
