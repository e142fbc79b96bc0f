#pragma once
// The messages between the supervisor and the callback host: one datagram each on a SOCK_SEQPACKET pair.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace poster {

enum class LinkKind : std::uint32_t {
    // supervisor to host
    started,     // number: pid of the child. on_start may run now
    not_started, // the child could not be executed, or was told to end before it began
    ended,       // text: the outcome's fields as JSON (attempt.json form). Run on_end, then answer `done`
    asked,       // the first SIGTERM came after the end: deliveries are waited for as after one that came before
    hurry,       // a second SIGTERM: cut short what only the network waits for
    stopping,    // number: the child, which is stopped; so is the supervisor from now on, until it goes on
    ask_canary,  // number: of the question. Answer `canary_quiet` once every group signal so far has been told
    // host to supervisor
    prepared,        // the prepare hooks have run; number: 1 if the spec changed (its JSON is in the memory file)
    group_signal,    // number: a signal that reached the host as a member of the group; pid, uid: its sender
    canary_quiet,    // number: of the question
    interrupt_first, // the child loses what it has logged to SIGTERM, and not to SIGINT
    done,            // every end hook has run or used up its time
};

struct LinkMessage {
    LinkKind kind{};
    std::int32_t number = 0;
    std::int32_t pid = 0;
    std::uint32_t uid = 0;
    std::string text{}; // at most kLinkText bytes
};

inline constexpr std::size_t kLinkText = 32'768;

bool send_message(int fd, const LinkMessage& message); // false: the other side is gone, or its queue is full
enum class Receive { message, nothing, closed };
Receive receive_message(int fd, LinkMessage& message); // never blocks

// A page both processes see: what the host measures and the outcome needs.
struct SharedPage {
    std::uint64_t peak_memory_bytes; // accessed with std::atomic_ref
    bool host_faulted;               // the host before died of itself; written before its successor is forked
};
SharedPage* map_shared_page(); // nullptr on failure; lives until the process ends

} // namespace poster
