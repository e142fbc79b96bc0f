#pragma once
// What a run still has to deliver: the messages of its outbox, and the files that are not at a remote as they are here.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <outbox.hpp>
#include <poster/callback.hpp>
#include <poster/settings.hpp>
#include <store.hpp>

namespace poster {

// A file of the run directory that is to be copied.
struct LocalFile {
    std::string path; // below the run directory
    std::uint64_t bytes = 0;
    std::int64_t modified_ns = 0;
};

// What is never copied, as it means something on this machine only, or is the remote's own affair.
bool stays_here(const std::string& path);

// All regular files of a run that [upload] include and exclude allow, sorted. Never what poster keeps for itself there:
// lock, heartbeat, outbox, worktree and half-written files. Throws Error where a folder cannot be read to its end.
std::vector<LocalFile> files_to_copy(const fs::path& run_dir, const Settings& settings);
// Those that `copies` lacks, or has with another size or time.
std::vector<LocalFile> not_copied_yet(std::vector<LocalFile> files, const std::map<std::string, Copy>& copies);

struct Pending {
    std::string callback;
    bool on = true; // false: its entries wait for somebody to turn it on again
    std::string off_reason;
    std::vector<OutboxView::Message> messages; // not delivered yet
    std::string destination;                   // of copies; empty: it makes none
    std::vector<LocalFile> files;
    bool manifest_due = false; // what is there is not what its manifest says
    DeliveryState copying;

    bool copies_due() const { return !files.empty() || manifest_due; }
    bool empty() const { return messages.empty() && !copies_due(); }
    bool failed() const; // something waits for the user, not for the next try
};

// By callback, also those that have delivered all. `settings`: those of the run. `asked`: callbacks of which copies are
// taken to have been asked for, whatever the outbox says.
std::vector<Pending> pending_of(const Store& store, const std::string& id, const Settings& settings,
                                const std::vector<std::string>& asked = {});

const CallbackEntry* find_callback(const std::string& name);

} // namespace poster
