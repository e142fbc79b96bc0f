#pragma once
// A helper program that is spoken with: what it reads is written and what it prints is read as both come.

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "fd.hpp"
#include "outgoing.hpp"

namespace poster {

class ChildProcess {
public:
    // Throws Error where it cannot be started.
    explicit ChildProcess(const std::vector<std::string>& argv);
    ChildProcess(const ChildProcess&) = delete;
    ChildProcess& operator=(const ChildProcess&) = delete;
    ~ChildProcess(); // ends it, if it has not ended

    // Waits, not longer than that, until something can be moved, and moves it: from `input` to the program, and from it
    // to the end of `output`. False: its output has ended.
    bool exchange(Outgoing& input, std::string& output, int timeout_ms);
    // Lets it end by itself, which it does when its input ends; after that time it is killed. Its exit code; 128 and
    // the signal it died of.
    int finish(int timeout_ms);
    // The last of what it said on stderr.
    const std::string& errors() const { return errors_; }

private:
    void read_errors();
    std::optional<int> reap(int flags);

    pid_t pid_ = -1;
    std::optional<int> code_;
    bool full_ = false; // it has not taken all that it was given
    bool naps_ = false; // a pipe as small as some users get would be empty long before the nap is over
    Fd input_, output_, error_;
    std::string errors_;
};

} // namespace poster
