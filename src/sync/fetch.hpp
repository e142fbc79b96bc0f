#pragma once
// Brings files of runs back from a remote. What a manifest says is foreign input: a file comes into its run directory
// or nowhere, whole and verified, and never in the place of another.

#include <map>
#include <string>
#include <vector>

#include <lease.hpp>
#include <outbox.hpp>

#include "engine.hpp"
#include "place.hpp"

namespace poster {

struct Fetched {
    std::size_t files = 0; // brought now
    std::uint64_t bytes = 0;
    std::map<std::string, Copy> here; // by path: as at the remote, brought now or there before; with the time it has
    std::map<std::string, Delivery> left; // the others, and why
};

// The files of a run that `wanted` names, into its directory `dir`, which need not be in the store yet. One that stands
// there as it was coming only is neither here nor left: whether the remote has it is not known. The lease is renewed;
// when it is lost the rest is left. Throws Error where the directory itself is the trouble.
Fetched fetch_files(const std::filesystem::path& dir, const std::string& run, const Place& place,
                    const Manifest& wanted, int jobs, Lease& lease, SyncObserver& observer);

// Writes down that these are at the remote, so that no later sync sends them again.
void note_fetched(const std::filesystem::path& dir, const Place& place, const std::map<std::string, Copy>& files);

} // namespace poster
