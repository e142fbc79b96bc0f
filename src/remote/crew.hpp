#pragma once
// A few threads that share a heap of jobs. Each has a tool of its own, such as a connection; a job may add others.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace poster {

template <typename Tool>
class Crew {
public:
    using Job = std::function<void(Tool&)>; // does not throw

    void add(Job job) {
        const std::lock_guard lock{mutex_};
        jobs_.push_back(std::move(job));
        changed_.notify_one();
    }
    // Before those that wait.
    void add_first(const Job& job, std::size_t times) {
        const std::lock_guard lock{mutex_};
        for (std::size_t i = 0; i < times; ++i) jobs_.push_front(job);
        changed_.notify_all();
    }
    // The jobs that have not begun are dropped.
    void stop() {
        const std::lock_guard lock{mutex_};
        jobs_.clear();
        stopped_ = true;
        changed_.notify_all();
    }
    bool stopped() const {
        const std::lock_guard lock{mutex_};
        return stopped_;
    }

    // Returns when nothing is left to do.
    void run(int threads, const std::function<Tool()>& make_tool) {
        std::vector<std::thread> others;
        for (int i = 1; i < threads; ++i) {
            others.emplace_back([&] { work(make_tool()); });
        }
        work(make_tool());
        for (std::thread& other : others) other.join();
    }

private:
    void work(Tool tool) {
        std::unique_lock lock{mutex_};
        for (;;) {
            changed_.wait(lock, [this] { return !jobs_.empty() || busy_ == 0; });
            if (jobs_.empty()) break;
            Job job = std::move(jobs_.front());
            jobs_.pop_front();
            ++busy_;
            lock.unlock();
            job(tool);
            job = nullptr; // what it holds is let go of without the lock
            lock.lock();
            --busy_;
            if (stopped_) jobs_.clear();
            changed_.notify_all();
        }
    }

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> jobs_;
    int busy_ = 0;
    bool stopped_ = false;
};

} // namespace poster
