#pragma once
// A write to what the other side has closed is an error then, and no signal.

#include <pthread.h>

#include <cerrno>
#include <csignal>

namespace poster {

// For as long as it lives, in this thread.
class WithoutSigpipe {
public:
    WithoutSigpipe() {
        ::sigemptyset(&pipe_);
        ::sigaddset(&pipe_, SIGPIPE);
        ::pthread_sigmask(SIG_BLOCK, &pipe_, &former_);
    }
    WithoutSigpipe(const WithoutSigpipe&) = delete;
    WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;
    ~WithoutSigpipe() {
        const timespec none{};
        if (::sigismember(&former_, SIGPIPE) == 0)
            while (::sigtimedwait(&pipe_, nullptr, &none) == -1 && errno == EINTR) {
            }
        ::pthread_sigmask(SIG_SETMASK, &former_, nullptr);
    }

private:
    sigset_t pipe_{}, former_{};
};

} // namespace poster
