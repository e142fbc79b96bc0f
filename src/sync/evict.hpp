#pragma once
// Takes files of ended runs away here that a remote has: what has just been confirmed there, is here as it was
// delivered, and that nothing else waits for, and nothing else.

#include <map>
#include <optional>
#include <string>

#include <outbox.hpp>
#include <store.hpp>

#include "place.hpp"

namespace poster {

struct EvictionRules {
    Milliseconds older{0};    // modified so long ago, at least
    std::uint64_t larger = 0; // of so many bytes, at least
    bool dry_run = true;
    int jobs = 10;
};

struct Evictions {
    std::size_t files = 0;
    std::uint64_t bytes = 0;
    std::map<std::string, Delivery> kept; // which would have gone, and why they stay
};

// True for what may be taken away of a run at all: files, images, captured code, and what the program printed. The
// records, the events and the configuration stay.
bool is_evictable(const std::string& path);

// Of a run that has ended; where it is continued meanwhile, the rest stays. Throws Error where a record cannot be
// written: then nothing was deleted that is not noted.
Evictions evict(const Store& store, const std::string& run, const Settings& settings, const Place& place,
                const EvictionRules& rules);

} // namespace poster
