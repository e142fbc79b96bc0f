#pragma once
// How failures are told: what failed, why, what to do.

#include <stdexcept>
#include <string>

namespace poster {

// The exit status of a launcher that fails itself, as of env, nohup and timeout: the other codes are the child's.
inline constexpr int kOwnFailure = 125;

// This operation failed; a caller may go on.
class Error : public std::runtime_error {
public:
    explicit Error(const std::string& what, std::string help = {}) : std::runtime_error(what), help_(std::move(help)) {}
    const std::string& help() const { return help_; }

private:
    std::string help_;
};

// The user asked for something that cannot be meant: exit 2, nothing touched.
class UsageError : public Error {
public:
    using Error::Error;
};

// The kernel said no, and which `errno` it said.
class SystemError : public Error {
public:
    SystemError(const std::string& what, int code) : Error(what), code_(code) {}
    int code() const { return code_; }

private:
    int code_;
};

// Throws SystemError "attempt: strerror" for a negative result, returns it otherwise.
int check_syscall(const std::string& attempt, int result);
[[noreturn]] void throw_errno(const std::string& attempt, int error);

// Writes "poster: …" lines to stderr, one write each; a message of several lines gets the prefix on each.
// `fresh_line`: the cursor stands behind other words.
void say(const std::string& message, bool fresh_line = false);
void complain(const Error& error);

} // namespace poster
