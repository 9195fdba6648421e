//! The people of an organisation, their groups and invitations, and who may change what somebody is. Pure: the store asks
//! within the transaction that changes it.

use podlatch_protocol::id::{GroupId, InvitationId, UserId};

use super::name::{DisplayName, Email};
use super::organisation::{Role, User};
use crate::clock::UnixMillis;

/// A member of an organisation, with what its administrators see of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub user: User,
    /// What they are.
    pub role: Role,
    /// Since when they are a member.
    pub joined_at: UnixMillis,
    /// Since when they are suspended here.
    pub suspended_at: Option<UnixMillis>,
    /// Since when their account is suspended, by the operator.
    pub account_suspended_at: Option<UnixMillis>,
    /// When one of their logins was last used here, to the minute.
    pub last_seen_at: Option<UnixMillis>,
    /// Their groups here.
    pub groups: Vec<(GroupId, DisplayName)>,
}

impl Person {
    /// `active`; `suspended` in this organisation; or `account_suspended` by the operator.
    pub const fn status(&self) -> &'static str {
        match (self.account_suspended_at, self.suspended_at) {
            (Some(_), _) => "account_suspended",
            (None, Some(_)) => "suspended",
            (None, None) => "active",
        }
    }
}

/// A group of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Its name, unique in its organisation.
    pub name: DisplayName,
    /// What Kubernetes is told of its members where the person is impersonated.
    pub kubernetes_groups: Vec<String>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// How many people are in it.
    pub members: u64,
}

/// Who says that somebody is in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberSource {
    /// An administrator.
    Manual,
    /// The provider that the person signed in at.
    Oidc,
}

impl MemberSource {
    /// The stable name, for storage and APIs.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Oidc => "oidc",
        }
    }

    /// The source with this stable name.
    pub fn from_slug(slug: &str) -> Option<Self> {
        [Self::Manual, Self::Oidc].into_iter().find(|source| source.slug() == slug)
    }
}

/// Somebody in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// Who.
    pub user: User,
    /// Who says so.
    pub source: MemberSource,
}

/// An invitation that nobody has accepted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// Who is invited.
    pub email: Email,
    /// As what.
    pub role: Role,
    /// Into which groups.
    pub groups: Vec<GroupId>,
    /// When.
    pub created_at: UnixMillis,
    /// Until when it is good.
    pub expires_at: UnixMillis,
}

/// What the operator does with an account or an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspension {
    /// It may do nothing for now.
    Suspend,
    /// It may again.
    Lift,
}

impl Suspension {
    /// Since when it is suspended, if this is done now, in milliseconds; as it is stored.
    pub fn since(self, now: UnixMillis) -> Option<i64> {
        match self {
            Self::Suspend => Some(now.get()),
            Self::Lift => None,
        }
    }
}

/// What is to become of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberChange {
    /// They get another role.
    Role(Role),
    /// They may do nothing for now.
    Suspend,
    /// They may again.
    Resume,
    /// They are no member any more.
    Remove,
}

impl MemberChange {
    /// The stable name, for the audit log.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Role(_) => "change_role",
            Self::Suspend => "suspend_member",
            Self::Resume => "resume_member",
            Self::Remove => "remove_member",
        }
    }
}

/// A member as the decision sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// What they are.
    pub role: Role,
    /// Whether they are suspended, here or altogether.
    pub suspended: bool,
}

/// Who wants the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangedBy {
    /// A member, as they are at the moment of the change; `None` if they are none any more.
    Member(Option<Member>),
    /// Whoever may run commands on the relay's machine.
    Operator,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeRefused {
    /// Whoever asks may not change people.
    NotAllowed,
    /// People do not change what they are themselves.
    Oneself,
    /// Only owners make, unmake, suspend and remove owners.
    OwnersOnly,
    /// The organisation would have no owner left who can act.
    LastOwner,
}

impl ChangeRefused {
    /// Says it to whoever asked.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotAllowed => "Only owners and admins change what people are in an organisation.",
            Self::Oneself => "You cannot change your own role, suspend or remove yourself. Ask another owner or admin.",
            Self::OwnersOnly => "Only an owner makes somebody an owner, or changes, suspends or removes one.",
            Self::LastOwner => "This is the last owner who can act. Make somebody else an owner first.",
        }
    }
}

/// Decides. `owners` is how many owners of the organisation are not suspended.
pub fn may_change(by: ChangedBy, target: Member, change: MemberChange, owners: u64) -> Result<(), ChangeRefused> {
    if let ChangedBy::Member(member) = by {
        let member = member.filter(|member| !member.suspended).ok_or(ChangeRefused::NotAllowed)?;
        may_invite(member.role, Role::Member)?;
        if member.user == target.user {
            return Err(ChangeRefused::Oneself);
        }
        let concerns_owners = target.role == Role::Owner || change == MemberChange::Role(Role::Owner);
        if concerns_owners && member.role != Role::Owner {
            return Err(ChangeRefused::OwnersOnly);
        }
    }
    let stays_owner = matches!(change, MemberChange::Role(Role::Owner) | MemberChange::Resume);
    let acts_as_owner = target.role == Role::Owner && !target.suspended;
    if acts_as_owner && !stays_owner && owners <= 1 {
        return Err(ChangeRefused::LastOwner);
    }
    Ok(())
}

/// Whether somebody of this role may invite somebody as `invited`.
pub const fn may_invite(role: Role, invited: Role) -> Result<(), ChangeRefused> {
    match (role, invited) {
        (Role::Owner, _) | (Role::Admin, Role::Admin | Role::Auditor | Role::Member) => Ok(()),
        (Role::Admin, Role::Owner) => Err(ChangeRefused::OwnersOnly),
        (Role::Auditor | Role::Member, _) => Err(ChangeRefused::NotAllowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: UserId = UserId::from_uuid(uuid::Uuid::from_u128(1));
    const ANOTHER: UserId = UserId::from_uuid(uuid::Uuid::from_u128(2));

    const CHANGES: [MemberChange; 5] = [
        MemberChange::Role(Role::Owner),
        MemberChange::Role(Role::Member),
        MemberChange::Suspend,
        MemberChange::Resume,
        MemberChange::Remove,
    ];

    fn member(user: UserId, role: Role) -> Member {
        Member { user, role, suspended: false }
    }

    fn by(role: Role) -> ChangedBy {
        ChangedBy::Member(Some(member(ME, role)))
    }

    #[test]
    fn owners_change_everybody_else() {
        for role in Role::ALL {
            for change in CHANGES {
                assert_eq!(
                    may_change(by(Role::Owner), member(ANOTHER, role), change, 2),
                    Ok(()),
                    "{role:?} {change:?}"
                );
            }
        }
    }

    #[test]
    fn admins_change_everybody_but_owners_and_make_none() {
        for role in [Role::Admin, Role::Auditor, Role::Member] {
            for change in CHANGES {
                let expected = match change {
                    MemberChange::Role(Role::Owner) => Err(ChangeRefused::OwnersOnly),
                    _ => Ok(()),
                };
                assert_eq!(
                    may_change(by(Role::Admin), member(ANOTHER, role), change, 2),
                    expected,
                    "{role:?} {change:?}"
                );
            }
        }
        for change in CHANGES {
            let refused = may_change(by(Role::Admin), member(ANOTHER, Role::Owner), change, 2);
            assert_eq!(refused, Err(ChangeRefused::OwnersOnly), "{change:?}");
        }
    }

    #[test]
    fn nobody_else_changes_anybody_and_nobody_changes_themselves() {
        for change in CHANGES {
            for role in [Role::Auditor, Role::Member] {
                let refused = may_change(by(role), member(ANOTHER, Role::Member), change, 2);
                assert_eq!(refused, Err(ChangeRefused::NotAllowed), "{role:?} {change:?}");
            }
            for role in [Role::Owner, Role::Admin] {
                let refused = may_change(by(role), member(ME, role), change, 2);
                assert_eq!(refused, Err(ChangeRefused::Oneself), "{role:?} {change:?}");
            }
            let gone = may_change(ChangedBy::Member(None), member(ANOTHER, Role::Member), change, 2);
            assert_eq!(gone, Err(ChangeRefused::NotAllowed));
            let suspended = Member { suspended: true, ..member(ME, Role::Owner) };
            let refused = may_change(ChangedBy::Member(Some(suspended)), member(ANOTHER, Role::Member), change, 2);
            assert_eq!(refused, Err(ChangeRefused::NotAllowed));
        }
    }

    #[test]
    fn the_last_owner_who_can_act_stays_one_whoever_asks() {
        for who in [by(Role::Owner), ChangedBy::Operator] {
            for change in [MemberChange::Role(Role::Admin), MemberChange::Suspend, MemberChange::Remove] {
                let last = member(ANOTHER, Role::Owner);
                assert_eq!(may_change(who, last, change, 1), Err(ChangeRefused::LastOwner), "{change:?}");
                assert_eq!(may_change(who, last, change, 2), Ok(()), "{change:?}");
                let suspended = Member { suspended: true, ..last };
                assert_eq!(may_change(who, suspended, change, 1), Ok(()), "they are not the one who acts: {change:?}");
            }
        }
    }

    #[test]
    fn only_owners_invite_owners() {
        assert_eq!(may_invite(Role::Owner, Role::Owner), Ok(()));
        assert_eq!(may_invite(Role::Admin, Role::Owner), Err(ChangeRefused::OwnersOnly));
        assert_eq!(may_invite(Role::Admin, Role::Admin), Ok(()));
        for role in [Role::Auditor, Role::Member] {
            assert_eq!(may_invite(role, Role::Member), Err(ChangeRefused::NotAllowed));
        }
    }
}
