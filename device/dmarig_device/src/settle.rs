//! What follows every event: a slice of DMA, deadlines, and answers to requests that waited.

use std::time::Instant;

use control_api::RpcError;
use control_api::request::{DmaSubmit, MailboxCall, MailboxWaitAttached, MappingsWait};
use control_api::response::{Epoch, GuestState, MailboxResponse, MailboxState};
use control_api::rpc::{CODE_ABORTED, CODE_BAD_RESPONSE, CODE_NOT_ATTACHED, CODE_TIMEOUT};
use serde_json::Value;

use crate::mailbox::{CallEnd, Mailbox};
use crate::methods::to_value;
use crate::rig::Rig;
use crate::waiters::{Awaited, Waiter};

/// Does it all; tells whether a device under test has more to do at once.
pub(crate) fn settle(rig: &mut Rig, now: Instant) -> bool {
    let mut has_more = false;
    for port in &mut rig.duts {
        port.expire(now);
        let (dut, connection) = port.parts();
        has_more |= dut.work(connection, now);
        port.flush();
    }
    if let Some(port) = &mut rig.control_function {
        port.flush();
    }
    if let Some(socket) = &mut rig.control_socket {
        socket.expire(now);
    }
    forget_gone_clients(rig);
    for number in 0..rig.duts.len() {
        answer_finished_dma(rig, number, now);
        answer_epochs(rig, number, now);
    }
    answer_mailbox(rig, now);
    answer_deadlines(rig, now);
    for port in &mut rig.duts {
        port.model_mut().follow_recording(now);
    }
    has_more
}

fn forget_gone_clients(rig: &mut Rig) {
    let Some(socket) = &rig.control_socket else {
        return;
    };
    let gone = rig
        .waiters
        .take(|waiter| !socket.has_client(waiter.caller.client));
    if gone
        .iter()
        .any(|waiter| waiter.awaited == Awaited::MailboxResponse)
    {
        abandon_call(rig);
    }
}

fn answer_finished_dma(rig: &mut Rig, number: usize, now: Instant) {
    let function = rig.duts[number].name();
    for (id, outcome) in rig.duts[number].model_mut().take_finished() {
        let over = rig
            .waiters
            .take(|waiter| waiter.awaited == Awaited::Dma { function, id });
        for waiter in over {
            rig.answer(waiter.caller, Ok(to_value::<DmaSubmit>(&outcome)), now);
        }
    }
}

fn answer_mailbox(rig: &mut Rig, now: Instant) {
    let is_look_due = rig.waiters.is_mailbox_look_due(now);
    let Some(port) = &mut rig.control_function else {
        return;
    };
    let is_rung = port.model_mut().take_doorbell();
    if !is_rung && !is_look_due {
        return;
    }
    let end = port.model_mut().mailbox_mut().poll();
    let guest_state = port.model().mailbox().guest_state();
    if let Some(end) = end {
        let outcome = call_outcome(end);
        for waiter in rig
            .waiters
            .take(|one| one.awaited == Awaited::MailboxResponse)
        {
            rig.answer(waiter.caller, outcome.clone(), now);
        }
    }
    if guest_state == GuestState::Attached {
        let value = to_value::<MailboxWaitAttached>(&MailboxState { guest_state });
        for waiter in rig.waiters.take(|one| one.awaited == Awaited::Attached) {
            rig.answer(waiter.caller, Ok(value.clone()), now);
        }
    }
}

fn call_outcome(end: CallEnd) -> Result<Value, RpcError> {
    match end {
        CallEnd::Response(response) => Ok(to_value::<MailboxCall>(&MailboxResponse { response })),
        CallEnd::Malformed { length_bytes } => Err(RpcError::new(
            CODE_BAD_RESPONSE,
            format!(
                "the guest's response claims {length_bytes:#x} bytes, the window holds {:#x}",
                Mailbox::RESPONSE_SIZE_BYTES
            ),
        )),
        CallEnd::Detached => Err(RpcError::new(
            CODE_NOT_ATTACHED,
            "the driver detached from the mailbox before it answered",
        )),
        CallEnd::Reset => Err(RpcError::new(
            CODE_ABORTED,
            "the control function was reset or disconnected before the guest answered",
        )),
    }
}

fn answer_epochs(rig: &mut Rig, number: usize, now: Instant) {
    let name = rig.duts[number].name();
    let now_at = rig.duts[number].model().mapping_epoch();
    let over = rig.waiters.take(|waiter| {
        matches!(waiter.awaited, Awaited::EpochAbove { function, epoch } if function == name && now_at > epoch)
    });
    for waiter in over {
        let value = to_value::<MappingsWait>(&Epoch { epoch: now_at });
        rig.answer(waiter.caller, Ok(value), now);
    }
}

fn answer_deadlines(rig: &mut Rig, now: Instant) {
    let late = rig
        .waiters
        .take(|waiter| waiter.deadline.is_some_and(|deadline| deadline <= now));
    for waiter in late {
        let message = deadline_message(rig, &waiter);
        if waiter.awaited == Awaited::MailboxResponse {
            abandon_call(rig);
        }
        rig.answer(
            waiter.caller,
            Err(RpcError::new(CODE_TIMEOUT, message)),
            now,
        );
    }
}

fn abandon_call(rig: &mut Rig) {
    if let Some(port) = &mut rig.control_function {
        port.model_mut().mailbox_mut().abandon_call();
    }
}

fn deadline_message(rig: &Rig, waiter: &Waiter) -> String {
    let state = rig
        .control_function
        .as_ref()
        .map_or(GuestState::Absent, |port| {
            port.model().mailbox().guest_state()
        });
    match waiter.awaited {
        Awaited::Attached => {
            format!("no driver attached to the mailbox in time; its state is {state:?}")
        }
        Awaited::MailboxResponse => {
            format!("the guest did not answer the mailbox call in time; its state is {state:?}")
        }
        Awaited::EpochAbove { function, epoch } => {
            format!("the mapping epoch of {function} did not pass {epoch:#x} in time")
        }
        Awaited::Dma { function, id } => {
            format!("DMA request {id} of {function} did not end in time")
        }
    }
}
