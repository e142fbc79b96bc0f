#pragma once
// Who may act on something in a store that several machines share, without locks: DIR/NAME.1, NAME.2 … are made with
// link(), which one process alone can succeed in; the highest number is the holder's. It is free when its holder said
// so, is dead (same machine), or has not renewed it for kDuration by the file system's own clock.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <poster/run.hpp>

namespace poster {

class Lease {
public:
    static constexpr Milliseconds kDuration{180'000};
    static constexpr Milliseconds kRenewal{20'000};

    // nullopt: another holds it. Throws Error where the folder cannot be written.
    static std::optional<Lease> acquire(const std::filesystem::path& dir, const std::string& name);
    // The same question, without taking it.
    static bool is_held(const std::filesystem::path& dir, const std::string& name);

    Lease(Lease&&) noexcept;
    Lease& operator=(Lease&&) noexcept;
    ~Lease(); // gives it back

    // To be called every kRenewal or more often. False: it was lost to another, as this process slept too long.
    bool renew();
    // valid(), renewed when it is time to: for work that asks often, from any thread.
    bool keep();
    // True while nobody else can have it: renewed recently enough.
    bool valid() const;

private:
    struct Impl;
    explicit Lease(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace poster
