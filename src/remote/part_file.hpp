#pragma once
// A local file that is being made beside its place; gone with this object unless it was put there. Without a name until
// then, where the file system can do that: a kill leaves nothing behind.

#include <filesystem>
#include <string>

#include <fd.hpp>

namespace poster {

class PartFile {
public:
    // `folder`: open, and stays so. `place`: of the file, for errors; its last part is the name. Both below and this
    // throw SystemError.
    PartFile(int folder, std::filesystem::path place);
    PartFile(const PartFile&) = delete;
    PartFile& operator=(const PartFile&) = delete;
    ~PartFile();

    int fd() const { return fd_.get(); }
    // To the disk. What is read afterwards comes from there, as far as the kernel can be made to.
    void flush() const;
    void put_in_place();

private:
    int folder_;
    std::filesystem::path place_;
    std::string name_;
    Fd fd_;
    bool named_ = false, placed_ = false;
};

} // namespace poster
