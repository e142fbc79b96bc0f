#include "lease.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <mutex>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <error.hpp>
#include <fd.hpp>
#include <files.hpp>
#include <records.hpp>

#include "liveness.hpp"

namespace poster {

namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

fs::path path_of(const fs::path& dir, const std::string& name, int number) {
    return dir / fmt::format("{}.{}", name, number);
}

int last_number(const fs::path& dir, const std::string& name) {
    int last = 0;
    std::error_code failure;
    for (fs::directory_iterator entry(dir, failure); !failure && entry != fs::directory_iterator();
         entry.increment(failure)) {
        const std::string file = entry->path().filename().native();
        if (file.size() <= name.size() + 1 || !file.starts_with(name) || file[name.size()] != '.') continue;
        int number = 0;
        const char* end = file.data() + file.size();
        const auto [parsed, error] = std::from_chars(file.data() + name.size() + 1, end, number);
        if (error == std::errc{} && parsed == end) last = std::max(last, number);
    }
    return last;
}

// By the clock of the file system, which may differ from this machine's.
std::int64_t file_system_now(const fs::path& dir) {
    const fs::path probe = dir / fmt::format(".now.{}.{}", ::getpid(), ::gettid());
    const Fd fd{::open(probe.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    struct stat facts{};
    const bool known = fd && ::futimens(fd.get(), nullptr) == 0 && ::fstat(fd.get(), &facts) == 0;
    ::unlink(probe.c_str());
    return known ? modified_ns(facts) : 0;
}

bool is_free(const fs::path& dir, const std::string& name, int number) {
    if (number == 0) return true;
    const fs::path path = path_of(dir, name, number);
    const auto record = read_json(path);
    // None: removed this moment, or not whole yet.
    if (record && (member(*record, "released") == true || owner_is_dead(*record))) return true;
    struct stat facts{};
    if (::stat(path.c_str(), &facts) != 0) return true;
    const std::int64_t now = file_system_now(dir);
    return now != 0 && now - modified_ns(facts) > std::int64_t(Lease::kDuration.count()) * 1'000'000;
}

} // namespace

struct Lease::Impl {
    fs::path dir;
    std::string name;
    int number = 0;
    std::atomic<Clock::rep> renewed_at{0};
    std::atomic<Clock::rep> kept_at{0}; // the last try
};

Lease::Lease(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Lease::Lease(Lease&&) noexcept = default;
Lease& Lease::operator=(Lease&&) noexcept = default;

std::optional<Lease> Lease::acquire(const fs::path& dir, const std::string& name) {
    make_directories(dir);
    const int last = last_number(dir, name);
    if (!is_free(dir, name, last)) return std::nullopt;
    auto impl = std::make_unique<Impl>();
    impl->dir = dir;
    impl->name = name;
    impl->number = last + 1;
    impl->kept_at = impl->renewed_at = Clock::now().time_since_epoch().count();
    const fs::path path = path_of(dir, name, impl->number);
    if (!create_alone(path, self_record().dump())) return std::nullopt;
    Lease lease(std::move(impl));
    if (last_number(dir, name) != lease.impl_->number)
        return std::nullopt; // it had been taken and given back meanwhile
    if (!is_free(dir, name, last)) {
        ::unlink(path.c_str()); // its holder, who slept for long, has just renewed it
        return std::nullopt;
    }
    for (int older = last; older > 0 && ::unlink(path_of(dir, name, older).c_str()) == 0; --older) {
    }
    return lease;
}

bool Lease::is_held(const fs::path& dir, const std::string& name) {
    return !is_free(dir, name, last_number(dir, name));
}

Lease::~Lease() {
    if (!impl_ || !valid() || last_number(impl_->dir, impl_->name) != impl_->number) return;
    try {
        // Not removed: the highest number must stay, or a latecomer could take it again.
        replace_file(path_of(impl_->dir, impl_->name, impl_->number), json{{"released", true}}.dump());
    } catch (const std::exception&) {
        return; // it is free when this process is gone
    }
}

bool Lease::renew() {
    const auto began = Clock::now();
    const fs::path path = path_of(impl_->dir, impl_->name, impl_->number);
    const bool renewed = ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0;
    // In this order: whoever takes it looks, after that, whether it has just been renewed.
    if (last_number(impl_->dir, impl_->name) != impl_->number)
        impl_->renewed_at = 0;
    else if (renewed)
        impl_->renewed_at = began.time_since_epoch().count();
    return valid();
}

bool Lease::keep() {
    const auto now = Clock::now().time_since_epoch();
    auto last = impl_->kept_at.load();
    // One of several threads renews it.
    if (now - Clock::duration(last) > kRenewal && impl_->kept_at.compare_exchange_strong(last, now.count())) renew();
    return valid();
}

bool Lease::valid() const {
    const auto age = Clock::now().time_since_epoch() - Clock::duration(impl_->renewed_at.load());
    return impl_->renewed_at != 0 && age < kDuration * 2 / 3;
}

} // namespace poster
